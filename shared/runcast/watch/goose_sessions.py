"""Where goose keeps its sessions: a SQLite database, `~/.local/share/goose/sessions/sessions.db`.

A session's records are its messages, by their number, and its row, which says what it has used. A
conversation that was compacted is written again, with new numbers: `GooseReader` knows its messages again.
Which columns a session has depends on goose's version.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from runcast.agents import records, texts
from runcast.agents.goose import GooseReader
from runcast.watch.sessions import Session
from runcast.watch.sqlite_sessions import DatabaseSessions, Listed, RowSource, share_directory

_SESSIONS = """
SELECT s.*, (SELECT max(m.id) FROM messages m WHERE m.session_id = s.id) AS last_id
FROM sessions s ORDER BY s.updated_at
"""
_SESSION = "SELECT * FROM sessions WHERE id = ?1"
_MESSAGES = """
SELECT id, role, content_json, created_timestamp FROM messages
WHERE session_id = ?1 AND id > ?2 ORDER BY id
"""
_HIDDEN = frozenset({"hidden"})
_FACTS = ("working_dir", "provider_name", "model_config_json", "session_type")
_USED = ("accumulated_input_tokens", "accumulated_output_tokens", "input_tokens", "total_tokens")


class GooseSessions(DatabaseSessions):
    """Finds the sessions of goose."""

    program = "goose"
    pattern = "sessions.db"

    def roots(self, env: Mapping[str, str], home: Path) -> list[Path]:
        if moved := env.get("GOOSE_PATH_ROOT"):
            return [Path(moved, "data", "sessions")]
        return [share_directory(env, home) / "goose" / "sessions"]

    def _rows(self, connection: sqlite3.Connection) -> Iterator[Listed]:
        for row in _rows(connection, _SESSIONS):
            if row.get("session_type") not in _HIDDEN:
                changed_ns = _since_1970_ns(row.get("updated_at"))
                yield Listed(str(row["id"]), int(row["last_id"] or 0), changed_ns, name=_name(row))

    def reader(self, session: Session, kept: Mapping[str, Any]) -> GooseReader:
        return GooseReader()

    def source(self, session: Session) -> MessageSource:
        return MessageSource(session)


class MessageSource(RowSource):
    """The messages of one session, and its row whenever that says something else."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._last_id = -1
        self._row = b""

    def _records(
        self, connection: sqlite3.Connection, session_id: str
    ) -> Iterator[tuple[bytes, int | bytes]]:
        messages = connection.execute(_MESSAGES, (session_id, self._last_id))
        for number, role, content, created in messages:
            yield _line(role, content, created), int(number)
        row = next(_rows(connection, _SESSION, session_id), None)
        if row is not None and (text := _row(row)) != self._row:
            yield text, text

    def _passed(self, mark: int | bytes) -> None:
        if isinstance(mark, bytes):
            self._row = mark
        else:
            self._last_id = mark


def _rows(connection: sqlite3.Connection, query: str, *values: str) -> Iterator[dict[str, Any]]:
    cursor = connection.execute(query, values)
    names = [column[0] for column in cursor.description]
    for row in cursor:
        yield dict(zip(names, row, strict=True))


def _line(role: Any, content: Any, created: Any) -> bytes:
    """A message as a record."""
    try:
        at = created * 1000 if isinstance(created, int) and created < 10**11 else created
        return orjson.dumps({"role": role, "content": records.loads(content), "ts": texts.iso(at)})
    except (ValueError, TypeError, AttributeError):
        return b"null"


def _row(row: Mapping[str, Any]) -> bytes:
    """What a session's row says of it, as a record."""
    kept = {name: row.get(name) for name in (*_FACTS, *_USED)}
    return orjson.dumps({"session": kept}, default=str)


def _name(row: Mapping[str, Any]) -> str | None:
    """The session's name, where a person or goose has given it one."""
    name = str(row.get("name") or row.get("description") or "")
    return None if name in ("New session", "CLI Session", "New Chat") else texts.title(name)


def _since_1970_ns(moment: Any) -> int:
    """A time as SQLite writes it, in UTC, or a number of seconds."""
    if isinstance(moment, int | float):
        return int(moment * 1e9)
    try:
        parsed = dt.datetime.fromisoformat(str(moment))
    except ValueError:
        return 0
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)).timestamp() * 1e9)
