"""Where opencode keeps its sessions: a SQLite database, `~/.local/share/opencode/opencode.db`.

It is opened for reading alone. A session's records are its messages' parts, in the order in which they
changed; a part that changed comes again. `session.parent_id` makes the tree. Questions and permissions are in
no table: those come by its plugin (`runcast connect opencode`).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from runcast.agents import records, texts
from runcast.agents.identity import session_key
from runcast.agents.opencode import OpencodeReader
from runcast.watch import sqlite_file
from runcast.watch.line_file import Identity, Line, Stamp, own
from runcast.watch.sessions import Registered, Session

DATABASE = "opencode.db"
HOT_SECONDS = 120.0
_SESSIONS = """
SELECT id, parent_id, title, time_updated FROM session ORDER BY parent_id IS NOT NULL, time_updated
"""
_PARTS = """
SELECT p.id, p.time_updated, p.data, m.data FROM part p JOIN message m ON m.id = p.message_id
WHERE p.session_id = ?1 AND (p.time_updated > ?2 OR p.time_updated = ?2 AND p.id > ?3)
ORDER BY p.time_updated, p.id
"""


class OpencodeSessions:
    """Finds the sessions of opencode."""

    program = "opencode"
    pattern = DATABASE
    tells_exits = False

    def __init__(self) -> None:
        self._stamps: dict[Path, Stamp] = {}
        self._listed: dict[Path, list[Session]] = {}
        self._updated: dict[str, int] = {}

    def roots(self, env: Mapping[str, str], home: Path) -> list[Path]:
        base = env.get("XDG_DATA_HOME")
        return [(Path(base) if base else home / ".local" / "share") / "opencode"]

    def sessions(self, root: Path, hot: frozenset[str] | None) -> Iterator[Session]:
        path = root / DATABASE
        stamp = sqlite_file.stamp(path)
        if stamp is not None and stamp != self._stamps.get(path):
            self._listed[path] = list(self._read(root, path))
            self._stamps[path] = stamp
        yield from self._listed.get(path, ())

    def _read(self, root: Path, path: Path) -> Iterator[Session]:
        with sqlite_file.opened(path) as connection:
            for id, parent, title, updated in connection.execute(_SESSIONS):
                key = session_key(self.program, str(id))
                self._updated[key] = int(updated or 0)
                above = session_key(self.program, str(parent)) if parent else None
                name = texts.title(str(title or ""))
                yield Session(self.program, path, key, str(id), root, above, name=name)

    def stamp(self, session: Session) -> Stamp | None:
        """When the session changed; of one that did lately, also when the database did."""
        whole = sqlite_file.stamp(session.path)
        if whole is None:
            return None
        updated = self._updated.get(session.key, 0)
        is_hot = time.time() - updated / 1000 < HOT_SECONDS
        return whole[0], whole[1] + whole[2] if is_hot else 0, updated * 1_000_000

    def kept(self, session: Session) -> dict[str, Any]:
        return {}

    def reader(self, session: Session, kept: Mapping[str, Any]) -> OpencodeReader:
        return OpencodeReader()

    def source(self, session: Session) -> PartSource:
        return PartSource(session)

    def skips(self, line: bytes) -> bool:
        return False

    def processes(
        self, root: Path, sessions: Collection[Session]
    ) -> Mapping[str, Registered] | None:
        return None


class PartSource:
    """The parts of one session as lines. The offset counts them; it means nothing the next time."""

    is_positional = False

    def __init__(self, session: Session) -> None:
        self.offset = 0
        self._session = session
        self._seen = (-1, "")

    def identity(self) -> Identity:
        """Which database it is. Raises `OSError`."""
        return Identity(own(self._session.path).st_ino, "0-")

    def continues(self, known: Identity, at_least: int) -> bool:
        """Whether it is the database that was known."""
        return self.identity().inode == known.inode

    def lines(self, limit_bytes: int | None = None) -> Iterator[Line]:
        """The parts that came or changed since. Raises `OSError`."""
        size = 0
        with sqlite_file.opened(self._session.path) as connection:
            rows = connection.execute(_PARTS, (self._session.session_id, *self._seen))
            for id, updated, data, message in rows:
                text = _line(str(id), data, message)
                self._seen = (int(updated or 0), str(id))
                self.offset += 1
                size += len(text)
                yield Line(text, self.offset - 1, self.offset)
                if limit_bytes is not None and size >= limit_bytes:
                    return


def _line(id: str, data: Any, message: Any) -> bytes:
    """A part as a record, with what its message says of it."""
    try:
        part, about = records.loads(data), records.loads(message)
        time_of = part.get("time") or about.get("time") or {}
        record = {
            "part": part | {"id": id},
            "role": about.get("role"),
            "model": about.get("modelID"),
            "ts": texts.iso(time_of.get("start") or time_of.get("created")),
        }
        return orjson.dumps(record)
    except (ValueError, TypeError, AttributeError):
        return b"null"
