"""Agents whose sessions lie in one SQLite database: opencode and goose.

It is opened for reading alone. A session's records are rows. A place among them means nothing the next time,
so everything is read once more after a restart, and what the spool holds isn't said again.
"""

from __future__ import annotations

import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runcast.agents.identity import session_key
from runcast.agents.said import Reader
from runcast.watch import sqlite_file
from runcast.watch.line_file import Identity, Line, Stamp, own
from runcast.watch.sessions import Registered, Session

HOT_SECONDS = 120.0
"""A session that changed within this time is looked at whenever the database changes."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A session as its row says it. `mark` changes with it, `changed_ns` is when it did (0: not told)."""

    id: str
    mark: int
    changed_ns: int
    parent_id: str | None = None
    name: str | None = None


class RowSource(ABC):
    """The records of one session as lines. The offset counts them; it means nothing the next time."""

    is_positional = False

    def __init__(self, session: Session) -> None:
        self.offset = 0
        self._session = session

    def identity(self) -> Identity:
        """Which database it is. Raises `OSError`."""
        return Identity(own(self._session.path).st_ino, "0-")

    def continues(self, known: Identity, at_least: int) -> bool:
        """Whether it is the database that was known."""
        return self.identity().inode == known.inode

    def lines(self, limit_bytes: int | None = None) -> Iterator[Line]:
        """The records that came or changed since. Raises `OSError`."""
        with sqlite_file.opened(self._session.path) as connection:
            found = list(_some(self._records(connection, self._session.session_id), limit_bytes))
        for text, mark in found:
            self._passed(mark)
            self.offset += 1
            yield Line(text, self.offset - 1, self.offset)

    @abstractmethod
    def _records(
        self, connection: sqlite3.Connection, session_id: str
    ) -> Iterator[tuple[bytes, Any]]:
        """The records that weren't passed yet, each with what `_passed` is to be told."""

    @abstractmethod
    def _passed(self, mark: Any) -> None:
        """A record was given out."""


class DatabaseSessions(ABC):
    """Finds the sessions in an agent's database."""

    program: str
    pattern: str
    """The database's name."""
    tells_exits = False

    def __init__(self) -> None:
        self._stamps: dict[Path, Stamp] = {}
        self._listed: dict[Path, list[Session]] = {}
        self._known: dict[str, Listed] = {}

    @abstractmethod
    def roots(self, env: Mapping[str, str], home: Path) -> list[Path]: ...

    @abstractmethod
    def reader(self, session: Session, kept: Mapping[str, Any]) -> Reader: ...

    @abstractmethod
    def source(self, session: Session) -> RowSource: ...

    @abstractmethod
    def _rows(self, connection: sqlite3.Connection) -> Iterable[Listed]:
        """The sessions, parents before their sub-agents."""

    def sessions(self, root: Path, hot: frozenset[str] | None) -> Iterator[Session]:
        path = root / self.pattern
        stamp = sqlite_file.stamp(path)
        if stamp is not None and stamp != self._stamps.get(path):
            with sqlite_file.opened(path) as connection:
                rows = list(self._rows(connection))
            self._listed[path] = [self._session(root, path, each) for each in rows]
            self._stamps[path] = stamp
        yield from self._listed.get(path, ())

    def _session(self, root: Path, path: Path, row: Listed) -> Session:
        key = session_key(self.program, row.id)
        self._known[key] = row
        above = session_key(self.program, row.parent_id) if row.parent_id else None
        return Session(self.program, path, key, row.id, root, above, name=row.name)

    def stamp(self, session: Session) -> Stamp | None:
        """When the session changed; of one that did lately, also when the database did."""
        whole = sqlite_file.stamp(session.path)
        if whole is None:
            return None
        row = self._known.get(session.key) or Listed(session.session_id, 0, 0)
        changed_ns = row.changed_ns or whole[2]
        is_hot = time.time() - changed_ns / 1e9 < HOT_SECONDS
        return whole[0], row.mark + (whole[1] + whole[2] if is_hot else 0), changed_ns

    def kept(self, session: Session) -> dict[str, Any]:
        return {}

    def skips(self, line: bytes) -> bool:
        return False

    def processes(
        self, root: Path, sessions: Collection[Session]
    ) -> Mapping[str, Registered] | None:
        return None


def share_directory(env: Mapping[str, str], home: Path) -> Path:
    """Where programs keep a person's data."""
    base = env.get("XDG_DATA_HOME")
    return Path(base) if base else home / ".local" / "share"


def _some(
    records: Iterator[tuple[bytes, Any]], limit_bytes: int | None
) -> Iterator[tuple[bytes, Any]]:
    """The first records, up to about this many bytes."""
    size = 0
    for text, mark in records:
        yield text, mark
        size += len(text)
        if limit_bytes is not None and size >= limit_bytes:
            return
