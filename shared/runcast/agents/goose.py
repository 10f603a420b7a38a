"""Messages of goose, as its database keeps them: `{role, content: [{type, …}], ts}`, and the session's row.

A conversation that was compacted comes once more: a message that was told already is passed over.
"""

from __future__ import annotations

from typing import Any

import orjson

from runcast.agents import entries, records, texts
from runcast.agents.said import Said, Used
from runcast.agents.tally import count
from runcast.agents.telling import Telling

Json = dict[str, Any]

_PASSED = frozenset({"redactedThinking", "conversationCompacted", "summarizationRequested"})


class GooseReader(Telling):
    """Reads one session."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[int] = set()
        self._requests = 0
        self._model = "goose"

    def read(self, record: Json) -> list[Said]:
        """What a message, or `{session: …}`, becomes; see `said.Reader`."""
        said = self.begin()
        if "session" in record:
            self._session(record["session"])
            return said
        digest = hash(orjson.dumps(record, option=orjson.OPT_SORT_KEYS))
        if digest in self._told:
            return said
        self._told.add(digest)
        is_user, ts = record.get("role") == "user", record.get("ts")
        self._requests += not is_user
        spoken: list[str] = []
        for part in record["content"]:
            self._part(part, is_user, ts, spoken)
        self._stand(record["content"], is_user, spoken, ts)
        return said

    def _part(self, part: Json, is_user: bool, ts: str | None, spoken: list[str]) -> None:
        kind = part.get("type")
        if kind in ("text", "image"):
            self._text(texts.block_text(part), is_user, ts, spoken)
        elif kind == "thinking":
            self.tell(entries.spoken("think", str(part.get("thinking") or ""), ts, "debug"))
        elif kind in ("toolRequest", "frontendToolRequest"):
            self._call(part, ts)
        elif kind == "toolResponse":
            self._result(part, ts)
        elif kind in ("toolConfirmationRequest", "actionRequired"):
            self._ask(part, ts)
        elif kind == "systemNotification":
            if part.get("notificationType") == "inlineMessage":
                self.tell(entries.notice(str(part.get("msg") or "")[:2000], ts, plain="Notice"))
        elif kind not in _PASSED:
            self.count_unknown(kind)

    def _text(self, text: str, is_user: bool, ts: str | None, spoken: list[str]) -> None:
        if not text.strip():
            return
        spoken.append(text)
        self.tell(entries.spoken("prompt" if is_user else "say", text, ts))
        if is_user and self.name is None:
            self.call_it(texts.title(text))

    def _call(self, part: Json, ts: str | None) -> None:
        call, id = _value(part.get("toolCall")), str(part.get("id"))
        if not isinstance(call, dict):
            self.tell(self.calls.begin(id, "?", {}, ts))
            return
        tool = str(call.get("name") or "?")[:200]
        self.tell(self.calls.begin(id, tool, call.get("arguments"), ts))
        given = call.get("arguments")
        if tool.rpartition("__")[2] == "todo_write" and isinstance(given, dict):
            items = [
                (line.strip()[5:].strip(), "pending" if line.strip()[3:4] == " " else "completed")
                for line in str(given.get("content") or "").splitlines()
                if line.strip().startswith(("- [", "* ["))
            ]
            self.tell(entries.plan(items, ts))

    def _result(self, part: Json, ts: str | None) -> None:
        told = part.get("toolResult")
        found, failure = _value(told), told.get("error") if isinstance(told, dict) else None
        is_error = failure is not None or (isinstance(found, dict) and found.get("isError") is True)
        content = found.get("content") if isinstance(found, dict) else found
        text = str(failure) if failure is not None else texts.text_of(content)
        self.tell(self.calls.end(str(part.get("id")), text, ts, ok=not is_error))

    def _ask(self, part: Json, ts: str | None) -> None:
        about = part.get("data") if isinstance(part.get("data"), dict) else part
        assert isinstance(about, dict)
        kind = about.get("actionType", "toolConfirmation")
        if kind == "toolConfirmation":
            tool = str(about.get("toolName") or "?")[:200]
            self.waits("permission", texts.headline(tool, about.get("arguments")), ts)
        elif kind == "elicitation":
            self.waits("question", str(about.get("message") or ""), ts)

    def _stand(self, parts: list[Json], is_user: bool, spoken: list[str], ts: str | None) -> None:
        """Whose turn it is behind this message."""
        kinds = {part.get("type") for part in parts}
        if kinds & {"toolConfirmationRequest", "actionRequired"}:
            return
        if is_user or kinds & {"toolRequest", "frontendToolRequest"}:
            self.works()
        elif spoken:
            self.waits("idle", texts.last_words(spoken[-1]), ts)

    def _session(self, row: Json) -> None:
        self.note({"cwd": row.get("working_dir"), "provider": row.get("provider_name")})
        self._model = _model(row.get("model_config_json")) or self._model
        self.note({"model": None if self._model == "goose" else self._model})
        given = count(row, "accumulated_input_tokens")
        out = count(row, "accumulated_output_tokens")
        if given or out:
            self.tally.context_tokens = count(row, "input_tokens", "total_tokens") or None
            self.tally.drop("goose")
            self.tally.replace(self._model, (given, out, 0, 0, 0), max(self._requests, 1), None)
            self.tell(Used())


def _value(result: Any) -> Any:
    """What a call or a result holds: `{status: "success", value: …}`."""
    return result.get("value", result) if isinstance(result, dict) else result


def _model(config: Any) -> str | None:
    try:
        named = records.loads(config)["model_name"] if isinstance(config, str) else None
    except (ValueError, LookupError, TypeError):
        return None
    return named[:200] if isinstance(named, str) and named else None
