"""What of a session leaves its file: texts without secrets, or no texts at all."""

from __future__ import annotations

from typing import Any, Literal

import orjson

from runcast.agents import texts
from runcast.agents.redaction import Redaction
from runcast.agents.said import Entry, State

Json = dict[str, Any]
Content = Literal["text", "full", "none"]

_NUMBERS = frozenset({"tool", "call_id", "ok", "ms", "bytes", "cut", "child", "error"})
"""Members of a payload that hold no text of the session."""
_TOLD = frozenset(
    {"program", "version", "session_id", "model", "entrypoint", "pid", "host", "resumes"}
)
"""Facts that hold none."""


ENTRY_BYTES = 192 * 1024
"""A larger entry, as only an odd record makes one, is cut: a server takes 256 KiB."""


class Policy:
    """Applies what may be shown. `none`: states, tool names, times and numbers."""

    def __init__(self, content: Content, redaction: Redaction) -> None:
        self.content = content
        self._redaction = redaction

    @property
    def hides(self) -> bool:
        return self.content == "none"

    def entry(self, said: Entry, agent_name: str) -> Json:
        """The data of the entry's message."""
        data: Json = {
            "event_type": said.event_type,
            "level": said.level,
            "message": said.plain if self.hides else said.message,
            "agent_name": said.agent_name or agent_name,
        }
        if said.ts is not None:
            data["ts"] = said.ts
        payload = self._numbers(said.payload) if self.hides else said.payload
        if payload is not None:
            data["payload"] = payload
        encoded = orjson.dumps(data, default=str)
        if len(encoded) > ENTRY_BYTES:
            data = _cut(data)
            encoded = orjson.dumps(data, default=str)
        if self.hides or not self._redaction.may_change(encoded):
            return data
        redacted: Json = self._redaction.json(data)
        return redacted

    @staticmethod
    def _numbers(payload: Json | None) -> Json | None:
        """What of a payload is no text of the session."""
        if payload is None:
            return None
        kept = {name: value for name, value in payload.items() if name in _NUMBERS}
        items = payload.get("items")
        if isinstance(items, list):
            kept["items"] = [{"text": "", "status": each["status"]} for each in items]
        return kept or None

    def summary(self, state: State, plain: str) -> str:
        """What is waited for, in a line."""
        text = plain if self.hides else self._redaction.text(state.summary)
        return " ".join(text.split())[:500]

    def text(self, text: str, plain: str = "") -> str:
        """Another text of the session."""
        return plain if self.hides else self._redaction.text(text)

    def facts(self, facts: Json) -> Json:
        """Facts about the session."""
        kept = {name: value for name, value in facts.items() if not self.hides or name in _TOLD}
        redacted: Json = self._redaction.json(kept)
        return redacted


def _cut(data: Json) -> Json:
    """An entry of bounded size: what escapes make of 64 KiB, and no more."""
    short, payload = dict(data), data.get("payload")
    short["message"] = texts.shortened(data["message"], texts.RESULT_BYTES)[0]
    if payload is not None:
        kept = texts.small(payload, texts.INPUT_TEXT_BYTES, 2 * texts.INPUT_BYTES)[0]
        short["payload"] = kept | {"cut": True}
    return short
