"""What a session does now: as its records say it, and as the agent's registry of processes does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from runcast.agents import texts
from runcast.agents.said import Entry, State
from runcast.watch.content import Policy

Json = dict[str, Any]

_SHOWN = frozenset({"question", "plan"})
RESTED_MS = 5000
"""An error that comes so long after the process came to rest has stopped no turn."""


@dataclass(slots=True)
class Doing:
    """The last state of a session's records, and the last tool that it used."""

    state: State = field(default_factory=State)
    registered: State | None = None
    """What the registry says; None where it says nothing of the session."""
    tool: str = ""
    headline: str = ""
    ts: str | None = None
    """The time of the last record."""

    def note(self, said: Entry) -> None:
        if said.ts is not None:
            self.ts = said.ts
        if said.event_type == "tool":
            self.tool, self.headline = said.plain, said.message

    @property
    def now(self) -> State:
        """The state. The registry is right about whether a person is waited for; the records know better what
        for, where both speak of the same."""
        told, registered = self.state, self.registered
        if registered is None:
            return told
        if registered.kind == "idle":
            has_stopped = told.kind == "error" and not _came_at_rest(told, registered)
            return told if told.kind == "idle" or has_stopped else registered
        if registered.kind in ("permission", "question") and told.kind in _SHOWN:
            return told
        return registered

    def is_running(self, *, is_subagent: bool) -> bool:
        """Whether the run's status is `running`: no person is waited for."""
        state = self.now
        rests = state.kind == "idle" and (is_subagent or state.background > 0)
        return state.kind is None or rests

    def status(self, policy: Policy, *, is_subagent: bool) -> Json:
        """`status` and `attention` of the run."""
        if self.is_running(is_subagent=is_subagent):
            return {"status": "running", "attention": None}
        state = self.now
        attention: Json = {"kind": state.kind}
        if since := state.since or self.ts:
            attention["since"] = since
        attention["summary"] = self._summary(state, policy)
        return {"status": "awaiting_feedback", "attention": attention}

    def _summary(self, state: State, policy: Policy) -> str:
        if state.kind == "permission":
            is_known = bool(self.headline) and state.summary in ("", self.tool)
            shown = self.headline if is_known else state.summary
            return policy.text(shown, state.summary or self.tool)[:500]
        return policy.summary(state, "")

    def progress(self, policy: Policy) -> str:
        """What it does now, in one line; empty where it does nothing."""
        state = self.now
        if state.kind == "idle" and state.background:
            return f"waits for {state.background} background tasks"
        if state.kind is not None or not self.headline:
            return ""
        return policy.text(self.headline, self.tool)


def _came_at_rest(told: State, registered: State) -> bool:
    """Whether the process says that it had done nothing for some time when the records told of an error."""
    passed = texts.milliseconds(registered.since, told.since)
    return passed is not None and passed > RESTED_MS
