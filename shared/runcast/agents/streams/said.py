"""What a record of an agent says of its run, in words that are the same for all agents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the log. `ts` is the record's time, None where it has none. `child`: it belongs to the
    sub-agent that this call has launched."""

    event_type: str
    message: str
    level: str = "info"
    payload: Json | None = None
    ts: datetime | None = None
    child: str | None = None


@dataclass(frozen=True, slots=True)
class About:
    """The session: which program, its id where it is known, and members of `metadata.agent`."""

    program: str
    session_id: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Used:
    """All that the run has used since it began, as a run's `usage`."""

    usage: Json


@dataclass(frozen=True, slots=True)
class Doing:
    """What it does now, in one line."""

    headline: str
    child: str | None = None


@dataclass(frozen=True, slots=True)
class Waits:
    """What it waits for; `kind` None: it works."""

    kind: Literal["permission", "question", "plan", "idle"] | None
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Began:
    """A sub-agent that the call `child` has launched. `agent_id` is its own id, where it is known."""

    child: str
    name: str
    agent_id: str | None = None
    agent_name: str | None = None


@dataclass(frozen=True, slots=True)
class Over:
    """The end of what the agent had to do: of a sub-agent, or of the whole. With an `error` it has failed,
    whatever its exit code says."""

    error: str | None = None
    child: str | None = None
    result: str | None = None


Said = Entry | About | Used | Doing | Waits | Began | Over


class Unknown(Exception):
    """A record of a kind that the dialect doesn't know."""


class Dialect(Protocol):
    """The records of one agent's run, read in their order."""

    program: str

    def read(self, record: Json) -> Iterable[Said]:
        """What the record says. Raises `Unknown` for a kind that isn't known; whatever else is raised by
        members of other types than documented means the same."""
        ...

    def finish(self) -> Iterable[Said]:
        """What is left to say when no record comes any more."""
        ...
