"""What of a session leaves its file: texts without secrets, or no texts at all."""

from __future__ import annotations

from typing import Any, Literal

import orjson

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
        if self.hides or not self._redaction.may_change(orjson.dumps(data, default=str)):
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
