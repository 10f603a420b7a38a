"""Sessions of agents as they lie on this machine: whose file is which run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from runcast.agents.said import Reader, State
from runcast.watch.line_file import Identity, Line, Stamp


@dataclass(frozen=True, slots=True)
class Session:
    """A session's file, and the run that it becomes. `parent_key` is set for a sub-agent's."""

    program: str
    path: Path
    key: str
    session_id: str
    root: Path
    parent_key: str | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    name: str | None = None

    @property
    def is_subagent(self) -> bool:
        return self.parent_key is not None


@dataclass(frozen=True, slots=True)
class Registered:
    """A session's process: its state, where it is told, and facts of `metadata.agent`. `is_alive`: false for
    one that left its entry behind when it crashed."""

    state: State | None
    facts: Mapping[str, Any]
    is_alive: bool = True


class Source(Protocol):
    """The lines of a session, from `offset` on; see `line_file.LineFile`."""

    offset: int
    is_positional: bool
    """Whether an offset means the same the next time. Where it doesn't, everything is read once more after a
    restart, and what the spool holds already isn't said again."""

    def identity(self) -> Identity: ...

    def continues(self, known: Identity, at_least: int) -> bool: ...

    def lines(self, limit_bytes: int | None = None) -> Iterator[Line]: ...


class Adapter(Protocol):
    """What is known of an agent's files."""

    program: str
    pattern: str
    """Where its sessions lie, for people."""
    tells_exits: bool
    """Whether an entry that is gone says that the process ended well."""

    def roots(self, env: Mapping[str, str], home: Path) -> list[Path]:
        """Directories in which the agent may keep its sessions."""
        ...

    def sessions(self, root: Path, hot: frozenset[str] | None) -> Iterator[Session]:
        """The sessions that are there, parents before their sub-agents. With `hot` only what may have come
        since: `hot` are the keys of sessions that moved lately."""
        ...

    def stamp(self, session: Session) -> Stamp | None:
        """What changes with the session's records; None where they can't be read."""
        ...

    def kept(self, session: Session) -> dict[str, Any]:
        """What has to be known of the session when it is read once more, decided when its run is made."""
        ...

    def reader(self, session: Session, kept: Mapping[str, Any]) -> Reader:
        """A reader of the session's records, from its beginning."""
        ...

    def source(self, session: Session) -> Source:
        """The session's records as lines, from the beginning."""
        ...

    def skips(self, line: bytes) -> bool:
        """Whether a line is of a kind that no one reads; looks at its beginning alone."""
        ...

    def processes(
        self, root: Path, sessions: Collection[Session]
    ) -> Mapping[str, Registered] | None:
        """The processes of these sessions by key; None where nothing is known of processes."""
        ...
