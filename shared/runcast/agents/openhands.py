"""Conversations of the OpenHands SDK: `base_state.json`, and one file for each event.

An event has a `kind`; the state says what the conversation does (`execution_status`), and what it has used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runcast.agents import entries, texts
from runcast.agents.said import AttentionKind, Ended, Entry, Said
from runcast.agents.telling import Telling

Json = dict[str, Any]

_WAITS: Mapping[str, AttentionKind] = {
    "waiting_for_confirmation": "permission",
    "idle": "idle",
    "paused": "idle",
}
_PASSED = frozenset({"SystemPromptEvent", "ConversationStateUpdateEvent", "TokenEvent"})


class OpenHandsReader(Telling):
    """Reads one conversation: its events, and `{state: …}` whenever that has changed."""

    def __init__(self) -> None:
        super().__init__()
        self._last = ""

    def read(self, record: Json) -> list[Said]:
        """What an event or the state becomes; see `said.Reader`."""
        said = self.begin()
        if "state" in record:
            self._state(record["state"])
            return said
        kind, ts = str(record.get("kind")), record.get("timestamp")
        if kind == "MessageEvent":
            self._message(record, ts)
        elif kind == "ActionEvent":
            tool, given = str(record.get("tool_name") or "?"), record.get("action")
            self._last = texts.headline(tool, given)
            self.tell(self.calls.begin(str(record.get("tool_call_id") or ""), tool, given, ts))
        elif kind in ("ObservationEvent", "UserRejectObservation"):
            self._observation(record, ts)
        elif kind in ("AgentErrorEvent", "ConversationErrorEvent"):
            text = texts.shortened(str(record.get("error") or record.get("detail") or kind), 8192)[
                0
            ]
            self.tell(Entry("error", text, "error", {"error": kind}, ts, plain=kind))
        elif kind == "Condensation":
            self.tell(entries.notice("Context compacted", ts))
        elif kind not in _PASSED:
            self.count_unknown(kind)
        return said

    def _message(self, record: Json, ts: str | None) -> None:
        message = record.get("llm_message")
        text = texts.text_of(message.get("content")) if isinstance(message, dict) else ""
        is_user = record.get("source") == "user"
        if text.strip():
            self.tell(entries.spoken("prompt" if is_user else "say", text, ts))
            if is_user and self.name is None:
                self.call_it(texts.title(text))

    def _observation(self, record: Json, ts: str | None) -> None:
        found = record.get("observation")
        found = found if isinstance(found, dict) else {}
        said = found.get("content", found.get("output", record.get("rejection_reason")))
        ok = False if found.get("is_error") or record.get("kind") != "ObservationEvent" else None
        call_id, tool = str(record.get("tool_call_id") or ""), record.get("tool_name")
        self.tell(self.calls.end(call_id, texts.text_of(said), ts, ok=ok, tool=tool))

    def _state(self, state: Json) -> None:
        status = str(state.get("execution_status"))
        if status == "finished":
            self.tell(Ended("completed"))
        elif status in ("error", "stuck"):
            self.tell(Ended("failed", f"The conversation ended as {status}"))
        elif (kind := _WAITS.get(status)) is not None:
            self.waits(kind, self._last if kind == "permission" else "", None)
        else:
            self.works()
