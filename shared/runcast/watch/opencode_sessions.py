"""Where opencode keeps its sessions: a SQLite database, `~/.local/share/opencode/opencode.db`.

A session's records are its messages' parts, in the order in which they changed; a part that changed comes
again. `session.parent_id` makes the tree. Questions and permissions are in no table: those come by its plugin
(`runcast connect opencode`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from runcast.agents import records, texts
from runcast.agents.opencode import OpencodeReader
from runcast.watch.sessions import Session
from runcast.watch.sqlite_sessions import DatabaseSessions, Listed, RowSource, share_directory

_SESSIONS = """
SELECT id, parent_id, title, time_updated FROM session ORDER BY parent_id IS NOT NULL, time_updated
"""
_CHANGES = "SELECT id, time_updated FROM part WHERE session_id = ?1 ORDER BY time_updated, id"
_PART = """
SELECT p.data, m.data FROM part p JOIN message m ON m.id = p.message_id WHERE p.id = ?1
"""


class OpencodeSessions(DatabaseSessions):
    """Finds the sessions of opencode."""

    program = "opencode"
    pattern = "opencode.db"

    def roots(self, env: Mapping[str, str], home: Path) -> list[Path]:
        return [share_directory(env, home) / "opencode"]

    def _rows(self, connection: sqlite3.Connection) -> Iterator[Listed]:
        for id, parent, title, updated in connection.execute(_SESSIONS):
            changed_ns = int(updated or 0) * 1_000_000
            above = str(parent) if parent else None
            yield Listed(str(id), 0, changed_ns, above, texts.title(str(title or "")))

    def reader(self, session: Session, kept: Mapping[str, Any]) -> OpencodeReader:
        return OpencodeReader()

    def source(self, session: Session) -> PartSource:
        return PartSource(session)


class PartSource(RowSource):
    """The parts of one session. One is new where its time isn't the one that was seen: a clock that went back
    hides nothing."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._seen: dict[str, int] = {}

    def _records(
        self, connection: sqlite3.Connection, session_id: str
    ) -> Iterator[tuple[bytes, tuple[str, int]]]:
        for id, updated in connection.execute(_CHANGES, (session_id,)).fetchall():
            at = int(updated or 0)
            if self._seen.get(str(id)) != at:
                row = connection.execute(_PART, (id,)).fetchone()
                yield _line(str(id), *(row or (None, None))), (str(id), at)

    def _passed(self, mark: tuple[str, int]) -> None:
        self._seen[mark[0]] = mark[1]


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
