"""Where goose keeps its sessions: a SQLite database, `~/.local/share/goose/sessions/sessions.db`.

It is opened for reading alone. A session's records are its messages, by their number, and its row, which says
what it has used. A conversation that was compacted is written again, with new numbers: `GooseReader` knows
its messages again. Which columns a session has depends on goose's version.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from runcast.agents import records, texts
from runcast.agents.goose import GooseReader
from runcast.agents.identity import session_key
from runcast.watch import sqlite_file
from runcast.watch.line_file import Identity, Line, Stamp, own
from runcast.watch.sessions import Registered, Session

DATABASE = "sessions.db"
HOT_SECONDS = 120.0
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


class GooseSessions:
    """Finds the sessions of goose."""

    program = "goose"
    pattern = DATABASE
    tells_exits = False

    def __init__(self) -> None:
        self._stamps: dict[Path, Stamp] = {}
        self._listed: dict[Path, list[Session]] = {}
        self._known: dict[str, tuple[int, int]] = {}
        """By key: the last message's number, and when the session changed (ns)."""

    def roots(self, env: Mapping[str, str], home: Path) -> list[Path]:
        if moved := env.get("GOOSE_PATH_ROOT"):
            return [Path(moved, "data", "sessions")]
        base = env.get("XDG_DATA_HOME")
        return [(Path(base) if base else home / ".local" / "share") / "goose" / "sessions"]

    def sessions(self, root: Path, hot: frozenset[str] | None) -> Iterator[Session]:
        path = root / DATABASE
        stamp = sqlite_file.stamp(path)
        if stamp is not None and stamp != self._stamps.get(path):
            self._listed[path] = list(self._read(root, path))
            self._stamps[path] = stamp
        yield from self._listed.get(path, ())

    def _read(self, root: Path, path: Path) -> Iterator[Session]:
        with sqlite_file.opened(path) as connection:
            for row in _rows(connection, _SESSIONS):
                if row.get("session_type") in _HIDDEN:
                    continue
                id = str(row["id"])
                key = session_key(self.program, id)
                self._known[key] = int(row["last_id"] or 0), _since_1970_ns(row.get("updated_at"))
                yield Session(self.program, path, key, id, root, name=_name(row))

    def stamp(self, session: Session) -> Stamp | None:
        """When the session changed; of one that did lately, also when the database did."""
        whole = sqlite_file.stamp(session.path)
        if whole is None:
            return None
        last_id, updated_ns = self._known.get(session.key, (0, 0))
        is_hot = time.time() - (updated_ns or whole[2]) / 1e9 < HOT_SECONDS
        return whole[0], last_id + (whole[1] + whole[2] if is_hot else 0), updated_ns or whole[2]

    def kept(self, session: Session) -> dict[str, Any]:
        return {}

    def reader(self, session: Session, kept: Mapping[str, Any]) -> GooseReader:
        return GooseReader()

    def source(self, session: Session) -> MessageSource:
        return MessageSource(session)

    def skips(self, line: bytes) -> bool:
        return False

    def processes(
        self, root: Path, sessions: Collection[Session]
    ) -> Mapping[str, Registered] | None:
        return None


class MessageSource:
    """The messages of one session as lines, and its row whenever that says something else. The offset counts
    messages; it means nothing the next time."""

    is_positional = False

    def __init__(self, session: Session) -> None:
        self.offset = 0
        self._session = session
        self._last_id = -1
        self._row = b""

    def identity(self) -> Identity:
        """Which database it is. Raises `OSError`."""
        return Identity(own(self._session.path).st_ino, "0-")

    def continues(self, known: Identity, at_least: int) -> bool:
        """Whether it is the database that was known."""
        return self.identity().inode == known.inode

    def lines(self, limit_bytes: int | None = None) -> Iterator[Line]:
        """The messages that came since, and the row. Raises `OSError`."""
        size = 0
        with sqlite_file.opened(self._session.path) as connection:
            id = self._session.session_id
            for number, role, content, created in connection.execute(
                _MESSAGES, (id, self._last_id)
            ):
                text = _line(role, content, created)
                self._last_id = int(number)
                self.offset += 1
                size += len(text)
                yield Line(text, self.offset - 1, self.offset)
                if limit_bytes is not None and size >= limit_bytes:
                    return
            row = next(_rows(connection, _SESSION, id), None)
            if row is not None and (text := _row(row)) != self._row:
                self._row = text
                yield Line(text, self.offset, self.offset)


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
