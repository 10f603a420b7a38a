"""Records of GitHub Copilot CLI (`~/.copilot/session-state/*/events.jsonl`).

Each is `{type, data, id, timestamp}`. It is the only agent that writes down what it asks for
(`permission.requested`), and that it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runcast.agents import entries, texts
from runcast.agents.said import Ended, Entry, Said, Used
from runcast.agents.tally import Counts, count
from runcast.agents.telling import Telling

Json = dict[str, Any]

_PASSED = frozenset({"assistant.turn_start", "session.info"})


class CopilotReader(Telling):
    """Reads one session."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[int] = set()
        self._asked: set[str] = set()
        self._last = ""
        self._model = "copilot"

    def read(self, record: Json) -> list[Said]:
        """What a record becomes; see `said.Reader`."""
        said = self.begin()
        id = record.get("id")
        if isinstance(id, str):
            if hash(id) in self._seen:
                return said
            self._seen.add(hash(id))
        kind = str(record.get("type"))
        data = record.get("data")
        handler = _KINDS.get(kind)
        if handler is not None and isinstance(data, dict):
            handler(self, data, record.get("timestamp"))
        elif kind not in _PASSED:
            self.count_unknown(kind)
        return said

    def _resume(self, data: Json, ts: str | None) -> None:
        """A process that was killed never says how what it asked for was decided."""
        if self._asked:
            self._asked.clear()
            self.waits("idle", "", ts)
        self._model = str(data.get("selectedModel") or self._model)
        self.note({"model": data.get("selectedModel")})

    def _start(self, data: Json, ts: str | None) -> None:
        self._asked.clear()
        context = data.get("context")
        context = context if isinstance(context, dict) else {}
        self.note(
            {
                "session_id": data.get("sessionId"),
                "version": data.get("copilotVersion"),
                "cwd": context.get("cwd"),
                "git_branch": context.get("branch"),
                "model": data.get("selectedModel"),
            }
        )
        self._model = str(data.get("selectedModel") or self._model)

    def _user(self, data: Json, ts: str | None) -> None:
        self._asked.clear()
        text = texts.text_of(data.get("content"))
        self.tell(entries.spoken("prompt", text, ts))
        if self.name is None:
            self.call_it(texts.title(text))
        self.works()

    def _message(self, data: Json, ts: str | None) -> None:
        text = texts.text_of(data.get("content"))
        if text.strip():
            self.tell(entries.spoken("say", text, ts))
            self._last = text
        if output := count(data, "outputTokens"):
            counts: Counts = (0, output, 0, 0, 0)
            if self.tally.put(data.get("messageId"), self._model, counts):
                self.tell(Used())

    def _turn_end(self, data: Json, ts: str | None) -> None:
        if not self._asked:
            self.waits("idle", texts.last_words(self._last), ts)

    def _tool(self, data: Json, ts: str | None) -> None:
        call_id, tool = str(data.get("toolCallId") or ""), str(data.get("toolName") or "?")
        self.tell(self.calls.begin(call_id, tool, data.get("arguments"), ts))
        self.works()

    def _tool_result(self, data: Json, ts: str | None) -> None:
        ok, error, result = data.get("success"), data.get("error"), data.get("result")
        if isinstance(error, dict):
            text = str(error.get("message") or "")
        else:
            text = texts.text_of(result.get("content") if isinstance(result, dict) else result)
        call_id = str(data.get("toolCallId") or "")
        is_ok = ok if isinstance(ok, bool) else None
        self.tell(self.calls.end(call_id, text, ts, ok=is_ok))

    def _asks(self, data: Json, ts: str | None) -> None:
        asked = data.get("permissionRequest")
        asked = asked if isinstance(asked, dict) else {}
        self._asked.add(str(data.get("requestId")))
        said = asked.get("fullCommandText") or asked.get("path") or asked.get("url") or ""
        kind = str(asked.get("kind") or "permission")
        self.waits("permission", texts.headline(kind, {"command": str(said)}), ts)

    def _answered(self, data: Json, ts: str | None) -> None:
        self._asked.discard(str(data.get("requestId")))
        if not self._asked:
            self.works()

    def _subagent(self, data: Json, ts: str | None) -> None:
        name = str(data.get("agentDisplayName") or data.get("agentName") or "?")[:200]
        self.tell(entries.notice(f"Sub-agent {name} started", ts))

    def _model_change(self, data: Json, ts: str | None) -> None:
        model = str(data.get("newModel") or data.get("model") or "")
        if model and model != self._model:
            self._model = model
            self.tell(entries.notice(f"The model changed to {model}", ts))
            self.note({"model": model})

    def _error(self, data: Json, ts: str | None) -> None:
        text = texts.shortened(str(data.get("message") or "An error"), texts.TEXT_BYTES)[0]
        kind = str(data.get("errorType") or "An error")[:200]
        self.tell(Entry("error", text, "error", {"error": kind}, ts, plain=kind))
        self.waits("error", text, ts)

    def _abort(self, data: Json, ts: str | None) -> None:
        self._asked.clear()
        self.tell(entries.notice("Interrupted by the user", ts, "warning"))
        self.waits("idle", "", ts)

    def _shutdown(self, data: Json, ts: str | None) -> None:
        """The end, with the tokens of the whole session by model."""
        metrics = data.get("modelMetrics")
        told = [
            (str(model), about)
            for model, about in (metrics.items() if isinstance(metrics, dict) else ())
            if isinstance(about, dict) and isinstance(about.get("usage"), dict)
        ]
        if told:
            self.tally.drop(self._model)
        for model, about in told:
            asked = about.get("requests")
            requests = count(asked, "count") if isinstance(asked, dict) else 0
            self.tally.replace(model, counts_of(about["usage"]), max(requests, 1), None)
            self.tell(Used())
        failed = data.get("shutdownType") == "error"
        error = str(data.get("errorReason") or "The session ended with an error")[:2000]
        self.tell(Ended("failed", error) if failed else Ended("completed"))


_KINDS: Mapping[str, Callable[[CopilotReader, Json, str | None], None]] = {
    "session.start": CopilotReader._start,
    "session.resume": CopilotReader._resume,
    "user.message": CopilotReader._user,
    "assistant.message": CopilotReader._message,
    "assistant.turn_end": CopilotReader._turn_end,
    "tool.execution_start": CopilotReader._tool,
    "tool.execution_complete": CopilotReader._tool_result,
    "permission.requested": CopilotReader._asks,
    "permission.completed": CopilotReader._answered,
    "subagent.started": CopilotReader._subagent,
    "session.model_change": CopilotReader._model_change,
    "session.error": CopilotReader._error,
    "abort": CopilotReader._abort,
    "session.shutdown": CopilotReader._shutdown,
}


def counts_of(used: Json) -> Counts:
    """Copilot's totals: the input contains what a cache held."""
    cached, written = count(used, "cacheReadTokens"), count(used, "cacheWriteTokens")
    return (
        max(count(used, "inputTokens") - cached - written, 0),
        count(used, "outputTokens"),
        cached,
        written,
        0,
    )
