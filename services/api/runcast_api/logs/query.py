"""Reading a run's log: a window of it, or what a filter finds in it (all of it: `log_whole`).

Lines are read by (run, line number), page by page. A filter is put to Postgres as a search in the stored
text, which may find too much, and checked exactly here: Postgres's JSON functions refuse texts that hold
NUL, and agents print those.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from runcast._support.line_parser import level_of
from runcast_api.logs import entries, like
from runcast_server.db import Connection

PAGE_LINES = 2_000
SCAN_SECONDS = 2.0
"""How long one request looks for matches; then it answers what it has, with a cursor to go on."""
LAST_LINE = 2**63 - 1
NUL_SHOWN = "\u2400"

_PAGE = """
SELECT seq, line_number, data::text AS data FROM events
WHERE run_id = $1 AND line_number > $2 AND line_number < $3 AND at >= $4
  AND ($5::text IS NULL OR data::text LIKE $5) AND ($6::text IS NULL OR data::text LIKE $6)
  AND ($7::text IS NULL OR data::text ILIKE $7)
ORDER BY line_number {order} LIMIT $8
"""
_FORWARD = _PAGE.format(order="ASC")
_BACKWARD = _PAGE.format(order="DESC")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines are wanted: with this text (any case), level, agent."""

    q: str | None = None
    level: str | None = None
    agent_name: str | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.q or self.level or self.agent_name)

    def patterns(self) -> tuple[str | None, str | None, str | None]:
        """For Postgres: what the stored text of a wanted line holds at least."""
        level = _member("level", level_of(self.level)) if self.level else None
        agent = _member("agent_name", self.agent_name) if self.agent_name else None
        text = self.q and like.containing(orjson.dumps(self.q).decode()[1:-1])
        return level, agent, text if text and text.isascii() else None

    def wants(self, members: dict[str, Any]) -> bool:
        """Exactly: whether the filter wants the line with this data."""
        return (
            (not self.level or members.get("level") == level_of(self.level))
            and (not self.agent_name or members.get("agent_name") == self.agent_name)
            and (not self.q or self.q.lower() in members["line"].lower())
        )


def _member(name: str, value: str) -> str:
    return like.containing(f'"{name}":{orjson.dumps(value).decode()}')


@dataclass(frozen=True, slots=True)
class Log:
    """A run's log as one snapshot saw it: its lines up to `last_line`, stored since `since`."""

    run_id: UUID
    last_line: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """Which part is asked for: lines above `after` and below `before`, from the front or from the end."""

    after: int = 0
    before: int = LAST_LINE
    from_end: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """Lines, oldest first, and where to go on if there may be more."""

    lines: Sequence[tuple[int, dict[str, Any]]]
    next: Window | None


async def find(connection: Connection, run_id: UUID) -> Log:
    """The run's log."""
    row = await connection.fetchrow(
        "SELECT last_line_number, created_at FROM runs WHERE id = $1", run_id
    )
    return Log(run_id, row[0], row[1] - timedelta(days=1))


async def id_of(connection: Connection, run_id: UUID, line_number: int) -> int:
    """The event number of a line."""
    number: int = await connection.fetchval(
        "SELECT seq FROM events WHERE run_id = $1 AND line_number = $2", run_id, line_number
    )
    return number


async def read(
    connection: Connection, log: Log, window: Window, wanted: Filter, limit: int
) -> Found:
    """At most `limit` lines of a window that the filter wants."""
    found: list[tuple[int, dict[str, Any]]] = []
    end = time.monotonic() + SCAN_SECONDS
    place: Window | None = window
    while place is not None and len(found) < limit:
        missing = limit - len(found)
        size = min(missing + 1, PAGE_LINES) if wanted.is_empty else PAGE_LINES
        rows, place = await page(connection, log, place, wanted, size)
        for row in rows:
            members = orjson.loads(row["data"])
            if not wanted.wants(members):
                continue
            if len(found) == limit:
                break
            found.append((row["seq"], members))
        if time.monotonic() > end:
            break
    is_full = len(found) == limit and found
    if is_full:
        place = _beyond(window, found[-1][1]["line_number"])
        if place is not None and not await _has_more(connection, log, place, wanted):
            place = None
    if window.from_end:
        found.reverse()
    return Found(found, place)


async def _has_more(connection: Connection, log: Log, place: Window, wanted: Filter) -> bool:
    rows, _ = await page(connection, log, place, wanted, 1)
    return bool(rows)


async def page(
    connection: Connection, log: Log, window: Window, wanted: Filter, size: int
) -> tuple[Sequence[Any], Window | None]:
    """The next rows that Postgres finds, and the window behind them; None when that is empty."""
    before = min(window.before, log.last_line + 1)
    rows = await connection.fetch(
        _BACKWARD if window.from_end else _FORWARD,
        log.run_id,
        window.after,
        before,
        log.since,
        *wanted.patterns(),
        size,
    )
    if len(rows) < size:
        return rows, None
    return rows, _beyond(window, rows[-1]["line_number"])


def _beyond(window: Window, line: int) -> Window | None:
    after, before = (window.after, line) if window.from_end else (line, window.before)
    return Window(after, before, window.from_end) if before - after > 1 else None


def as_text(_: int, members: dict[str, Any]) -> bytes:
    """The line as it was written; a cut one says how much is missing."""
    line: str = members["line"]
    encoded = line.replace("\x00", NUL_SHOWN).encode()
    if cut := members.get("cut"):
        encoded += " … [+%d bytes]".encode() % (cut["length"] - len(line.encode()))
    return encoded + b"\n"


def as_ndjson(seq: int, members: dict[str, Any]) -> bytes:
    """The entry as one line of JSON."""
    return orjson.dumps(entries.shown(seq, members), option=orjson.OPT_APPEND_NEWLINE)
