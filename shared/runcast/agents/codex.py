"""Records of Codex: its rollouts (`~/.codex/sessions/Y/M/D/rollout-*.jsonl`).

Each is `{timestamp, type, payload}`. Messages come twice, as `response_item` and as `event_msg`: what
people and the agent say, and its thoughts, are taken from `event_msg`, tools from `response_item`. A
fork's or a sub-agent's file begins with its own `session_meta` and then the copied history of its parent,
with the time of the copy; that is passed over up to its first own turn, and what it had used is
subtracted. Approvals aren't written, so nothing here says `permission`; only a `request_user_input`
without an output says that a person is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runcast.agents import entries, records, texts
from runcast.agents.said import Entry, Said, Used
from runcast.agents.tally import LARGE_TOKENS, Counts, count, size_of
from runcast.agents.telling import Telling

Json = dict[str, Any]

UNKNOWN_MODEL = "unknown"
_ZERO: Counts = (0, 0, 0, 0, 0)
_CALLS = frozenset({"function_call", "custom_tool_call", "local_shell_call", "web_search_call"})
_OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output"})
_TWICE = frozenset({"message", "reasoning", "agent_message"})
"""Items that come as events, too."""


class CodexReader(Telling):
    """Reads one thread. `parent_id` and `nickname` are known after its first record."""

    def __init__(self) -> None:
        super().__init__()
        self._id: str | None = None
        self._copied_at: str | None = None
        self._total: Counts = _ZERO
        self._requests = 0
        self._model = UNKNOWN_MODEL
        self._asked: set[str] = set()

    def read(self, record: Json) -> list[Said]:
        """What a record becomes; see `said.Reader`."""
        said = self.begin()
        kind, payload = str(record["type"]), record["payload"]
        ts = record.get("timestamp")
        if kind == "session_meta":
            self._session_meta(payload, ts)
        elif self._copied_at is not None and not self._is_own(kind, payload, ts):
            pass
        elif kind == "turn_context":
            self._turn_context(payload, ts)
        elif kind == "compacted":
            self.tell(entries.notice("Context compacted", ts))
        elif kind == "response_item":
            self._item(payload, ts)
        elif kind == "event_msg":
            self._event(payload, ts)
        else:
            self.count_unknown(kind)
        return said

    def _session_meta(self, payload: Json, ts: str | None) -> None:
        if self._id is not None:
            self._copied_at = ts
            return
        self._id = str(payload["id"])
        git = payload.get("git")
        self.note(
            {
                "session_id": self._id,
                "version": payload.get("cli_version"),
                "cwd": payload.get("cwd"),
                "entrypoint": payload.get("originator"),
                "git_branch": git.get("branch") if isinstance(git, dict) else None,
            }
        )
        if nickname := spawned_by(payload).get("agent_nickname"):
            self.call_it(str(nickname))

    def _is_own(self, kind: str, payload: Json, ts: str | None) -> bool:
        """Whether the copied history is over: with the first turn that began after it was copied."""
        is_count = kind == "event_msg" and payload.get("type") == "token_count"
        if is_count and (total := _total_of(payload)) is not None:
            self._total = total
        if kind != "turn_context" or not isinstance(ts, str) or ts <= (self._copied_at or ""):
            return False
        self._copied_at = None
        return True

    def _turn_context(self, payload: Json, ts: str | None) -> None:
        model = payload.get("model")
        if isinstance(model, str) and model and model != self._model:
            if self._model != UNKNOWN_MODEL:
                self.tell(entries.notice(f"The model changed from {self._model} to {model}", ts))
            self._model = model
        self.note({"model": model, "cwd": payload.get("cwd")})

    def _item(self, payload: Json, ts: str | None) -> None:
        kind = str(payload.get("type"))
        if kind in _CALLS:
            self._call(kind, payload, ts)
        elif kind in _OUTPUTS:
            self._output(payload, ts)
        elif kind not in _TWICE:
            self.count_unknown(f"response_item/{kind[:80]}")

    def _call(self, kind: str, payload: Json, ts: str | None) -> None:
        tool, given = _tool_of(kind, payload)
        call_id = str(payload.get("call_id") or payload.get("id") or "")
        self.tell(self.calls.begin(call_id, tool, given, ts))
        if tool == "update_plan" and isinstance(given, dict):
            if listed := entries.plan(entries.plan_items(given.get("plan"), "step"), ts):
                self.tell(listed)
        elif tool == "request_user_input":
            self._asked.add(call_id)
            given = given if isinstance(given, dict) else {}
            self.waits("question", texts.first_question(given) or texts.headline(tool, given), ts)

    def _output(self, payload: Json, ts: str | None) -> None:
        output, ok = payload.get("output"), None
        if isinstance(output, dict):
            ok = output.get("success") if isinstance(output.get("success"), bool) else None
            output = output.get("content")
        call_id = str(payload.get("call_id") or "")
        self.tell(self.calls.end(call_id, texts.text_of(output), ts, ok=ok))
        if call_id in self._asked:
            self._asked.discard(call_id)
            self.works()

    def _event(self, payload: Json, ts: str | None) -> None:
        kind = str(payload.get("type"))
        handler = _EVENTS.get(kind)
        if handler is not None:
            handler(self, payload, ts)
        elif kind not in _PASSED:
            self.count_unknown(f"event_msg/{kind[:80]}")

    def _task_started(self, payload: Json, ts: str | None) -> None:
        if window := count(payload, "model_context_window"):
            self.tally.context_window = window
        self.works()

    def _user_message(self, payload: Json, ts: str | None) -> None:
        text = str(payload.get("message") or "")
        self.tell(entries.spoken("prompt", text, ts))
        if self.name is None and (name := texts.title(text)):
            self.call_it(name)

    def _agent_message(self, payload: Json, ts: str | None) -> None:
        self.tell(entries.spoken("say", str(payload.get("message") or ""), ts))

    def _agent_reasoning(self, payload: Json, ts: str | None) -> None:
        self.tell(entries.spoken("think", str(payload.get("text") or ""), ts, "debug"))

    def _task_complete(self, payload: Json, ts: str | None) -> None:
        self.waits("idle", texts.last_words(str(payload.get("last_agent_message") or "")), ts)

    def _turn_aborted(self, payload: Json, ts: str | None) -> None:
        reason = str(payload.get("reason") or "no reason given")[:200]
        self.tell(entries.notice(f"Turn aborted ({reason})", ts, "warning"))
        self._asked.clear()
        self.waits("idle", "", ts)

    def _error(self, payload: Json, ts: str | None) -> None:
        text = str(payload.get("message") or "An error")
        shown = texts.shortened(text, texts.TEXT_BYTES)[0]
        self.tell(Entry("error", shown, "error", {"error": shown[:2000]}, ts, plain="An error"))
        self.waits("error", text, ts)

    def _stream_error(self, payload: Json, ts: str | None) -> None:
        text = str(payload.get("message") or "The stream was interrupted")[:2000]
        self.tell(entries.notice(text, ts, "warning", plain="The stream was interrupted"))

    def _token_count(self, payload: Json, ts: str | None) -> None:
        """A running total. What came since the last one is one request, of the model of now."""
        total = _total_of(payload)
        if total is None:
            return
        info = payload["info"]
        if window := count(info, "model_context_window"):
            self.tally.context_window = window
        last = info.get("last_token_usage")
        if isinstance(last, dict) and (context := count(last, "total_tokens")):
            self.tally.context_tokens = context
        came = _minus(total, self._total)
        if came is None:  # the total began again
            came = total
        self._total = total
        if any(came):
            self._requests += 1
            self.tally.put(self._requests, self._model, came)
            self.tell(Used(size_of(came) > LARGE_TOKENS))


_EVENTS: Mapping[str, Callable[[CodexReader, Json, str | None], None]] = {
    "task_started": CodexReader._task_started,
    "user_message": CodexReader._user_message,
    "agent_message": CodexReader._agent_message,
    "agent_reasoning": CodexReader._agent_reasoning,
    "task_complete": CodexReader._task_complete,
    "turn_aborted": CodexReader._turn_aborted,
    "error": CodexReader._error,
    "stream_error": CodexReader._stream_error,
    "token_count": CodexReader._token_count,
}
_PASSED = frozenset({"patch_apply_end", "mcp_tool_call_end", "context_compacted", "item_completed"})


def spawned_by(meta: Json) -> Json:
    """What a `session_meta` says of the thread that started this one; empty where none did."""
    source = meta.get("source")
    subagent = source.get("subagent") if isinstance(source, dict) else None
    spawn = subagent.get("thread_spawn") if isinstance(subagent, dict) else None
    return spawn if isinstance(spawn, dict) else {}


def counts_of(used: Json) -> Counts:
    """OpenAI's usage: what was cached is part of the input, reasoning part of the output."""
    cached = count(used, "cached_input_tokens")
    return (
        max(count(used, "input_tokens") - cached, 0),
        count(used, "output_tokens"),
        cached,
        0,
        count(used, "reasoning_output_tokens"),
    )


def _total_of(payload: Json) -> Counts | None:
    info = payload.get("info")
    total = info.get("total_token_usage") if isinstance(info, dict) else None
    return counts_of(total) if isinstance(total, dict) else None


def _minus(total: Counts, before: Counts) -> Counts | None:
    """What came since; None where the total went back."""
    a, b, c, d, e = (now - then for now, then in zip(total, before, strict=True))
    return (a, b, c, d, e) if min(b, c, e) >= 0 and a + c >= 0 else None


def _tool_of(kind: str, payload: Json) -> tuple[str, Any]:
    """The tool and what it is given."""
    if kind == "local_shell_call":
        action = payload.get("action")
        return "local_shell", action if isinstance(action, dict) else {}
    if kind == "web_search_call":
        action = payload.get("action")
        return "web_search", action if isinstance(action, dict) else {}
    given = payload.get("arguments" if kind == "function_call" else "input")
    if kind == "function_call" and isinstance(given, str):
        try:
            given = records.loads(given)
        except ValueError:
            given = {"arguments": given}
    elif isinstance(given, str):
        given = {"input": given}
    return str(payload.get("name") or "?"), given
