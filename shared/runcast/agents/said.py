"""What a record of an agent's own session becomes: log entries, facts, states, the use of tokens, an end.

Readers (`claude`, `codex` …) turn one record into any number of these, in order. They know nothing of files
and runs, so that `runcast watch` and `runcast exec` read the same records with the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from runcast.agents import texts
from runcast.agents.tally import Tally

if TYPE_CHECKING:
    from runcast.agents.entries import Calls

Json = dict[str, Any]
AttentionKind = Literal["permission", "question", "plan", "idle", "error"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the run's log. `plain` is what may be shown of it where no text may be: a tool's name,
    a number, our own words."""

    event_type: str
    message: str
    level: str = "info"
    payload: Json | None = None
    ts: str | None = None
    agent_name: str | None = None
    plain: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """Facts of `metadata.agent` that are new or have changed, and the session's name where that has."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """Whether the agent works, or waits for a person: then `kind` says for what."""

    kind: AttentionKind | None = None
    summary: str = ""
    since: str | None = None
    background: int = 0
    """Tasks in the background that go on although the turn is over."""

    @property
    def is_waiting(self) -> bool:
        return self.kind is not None


@dataclass(frozen=True, slots=True)
class Used:
    """The tokens of a request were added to the reader's tally. A `large` one is priced by itself, since
    prices have tiers by the size of a request."""

    large: bool = False


@dataclass(frozen=True, slots=True)
class ChildOver:
    """A sub-agent has ended."""

    agent_id: str
    status: Literal["completed", "failed"]
    error: str | None = None
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over, as its record says."""

    status: Literal["completed", "failed"]
    error: str | None = None


Said = Entry | About | State | Used | ChildOver | Ended


def with_moment(said: Said) -> Said:
    """The same, with a time that every server takes, or none: what it tells of counts without it."""
    if isinstance(said, Entry) and said.ts is not None:
        at = texts.moment(said.ts)
        return said if at == said.ts else replace(said, ts=at)
    if isinstance(said, State) and said.since is not None:
        at = texts.moment(said.since)
        return said if at == said.since else replace(said, since=at)
    return said


class Reader(Protocol):
    """Reads the records of one session, in order.

    `read` answers what a record becomes and raises nothing that a record could cause but `LookupError`,
    `TypeError`, `ValueError` and `AttributeError`: its caller counts those as records that can't be
    read, and goes on. What isn't known is counted in `unknown` and passed over.
    """

    tally: Tally
    unknown: dict[str, int]
    calls: Calls

    def read(self, record: Json) -> list[Said]: ...
