"""Converts what version 0.1 stored, a row an event, into segments.

The migration moves the old table aside (`events_to_convert`, a partition a day). Here it is read day by day,
project by project, and each step, a transaction of its own, stores the segments of some thousand events, with
their numbers and times, and how far it has come (`conversion`); a day that is done is dropped. So a
conversion that was interrupted goes on where it was, any number of processes may run it at once, and it needs
no more room than a day's events. The server starts when it is done.

Lines of a run that trickled in are merged as they are converted, so that they take as little as new ones.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from runcast_server import postgres_hosts
from runcast_server.errors import ExplainedError
from runcast_server.eventlog import segments, stored
from runcast_server.eventlog.segments import Event, Lines, Piece, Segment

STEP_EVENTS = 5_000
STEP_BYTES = 16 * 1024 * 1024
SAY_EVERY_SECONDS = 10.0
EVENTS_PER_SECOND = 50_000
"""About, on a small machine: how long it will take is said before it begins."""

_IS_WAITING = "SELECT to_regclass('public.conversion') IS NOT NULL"
_ESTIMATE = """
SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass('public.events_to_convert')
"""
_POSITION = "SELECT project_id, upto_seq FROM conversion FOR UPDATE"
_MOVE = "UPDATE conversion SET project_id = $1, upto_seq = $2"
_FIRST_DAY = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass('public.events_to_convert') ORDER BY c.relname LIMIT 1
"""
_ROWS = """
SELECT project_id, seq, at, type, run_id, line_number, data::text AS data FROM public.{day}
WHERE (project_id, seq) > ($1, $2) ORDER BY project_id, seq LIMIT 500
"""
_MONTH_OF_PROJECT = """
INSERT INTO segment_months (project_id, month, first_seq) VALUES ($1, $2, $3)
ON CONFLICT (project_id, month) DO UPDATE SET first_seq = least(segment_months.first_seq, excluded.first_seq)
"""
_MONTH_OF_RUNS = """
UPDATE runs SET first_month = least(first_month, $2), last_month = greatest(last_month, $2)
WHERE id = ANY($1::uuid[])
"""
_BEGINNING = (UUID(int=0), 0)

_LEVEL = re.compile(rb'"level":"([^"\\]*)"')
_AGENT = re.compile(rb'"agent_name":("(?:[^"\\]|\\.)*")')

Say = Callable[[str], None]


class ConversionError(ExplainedError):
    """An event that can't be converted; the message names it."""


async def is_waiting(connection: asyncpg.Connection) -> bool:
    """Whether events of version 0.1 are still to be converted."""
    waiting: bool = await connection.fetchval(_IS_WAITING)
    return waiting


async def run(url: str, say: Say) -> int:
    """Converts what is left; answers how many events that were. `url` is the owner's. Raises
    `ConversionError` and `asyncpg` errors; what was converted before stays so."""
    connection = await postgres_hosts.connect(url, seconds=postgres_hosts.CONNECT_SECONDS)
    try:
        if not await is_waiting(connection):
            return 0
        about = await connection.fetchval(_ESTIMATE)
        say(f"converting about {about:,} events, which takes about {_duration(about)}")
        number, said = 0, time.monotonic()
        while (converted := await _step(connection)) is not None:
            number += converted
            if time.monotonic() - said > SAY_EVERY_SECONDS:
                said = time.monotonic()
                say(f"converted {number:,} events of about {about:,}")
        say(f"converted {number:,} events")
        return number
    finally:
        await connection.close()


def _duration(events: int) -> str:
    seconds = max(1, events // EVENTS_PER_SECOND)
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} minutes"


async def _step(connection: asyncpg.Connection) -> int | None:
    """One transaction; None where nothing is left."""
    async with connection.transaction():
        try:
            async with connection.transaction():
                position = await connection.fetchrow(_POSITION)
        except asyncpg.UndefinedTableError:
            return None  # another process has finished it
        day = await connection.fetchval(_FIRST_DAY)
        if day is None:
            await connection.execute("DROP TABLE events_to_convert; DROP TABLE conversion")
            return None
        after = _BEGINNING
        if position is not None and position[0] is not None:
            after = (position[0], position[1])
        rows = await _read(connection, day, after)
        if not rows:
            await connection.execute(f"DROP TABLE public.{day}")
            await connection.execute(_MOVE, None, None)
            return 0
        await store(connection, rows)
        await connection.execute(_MOVE, rows[-1]["project_id"], rows[-1]["seq"])
        return len(rows)


async def _read(
    connection: asyncpg.Connection, day: str, after: tuple[UUID, int]
) -> Sequence[asyncpg.Record]:
    """The next rows of a day, as many as a step takes."""
    rows: list[asyncpg.Record] = []
    size = 0
    while len(rows) < STEP_EVENTS and size < STEP_BYTES:
        more = await connection.fetch(_ROWS.format(day=day), *after)
        if not more:
            break
        rows += more
        after = (more[-1]["project_id"], more[-1]["seq"])
        size += sum(len(row["data"]) for row in more)
    return rows


class Row(NamedTuple):
    """A segment with what else stands in its row."""

    project_id: UUID
    segment: Segment
    last: int
    at: datetime
    pieces: tuple[Piece, ...] | None


async def store(connection: asyncpg.Connection, rows: Sequence[Any]) -> None:
    """Stores the segments of rows that stand in the order of project and number, and notes their months."""
    made = to_segments(rows)
    firsts: dict[tuple[UUID, date], int] = {}
    runs: dict[date, set[UUID]] = {}
    for row in made:
        month = row.at.astimezone(UTC).date().replace(day=1)
        first = firsts.setdefault((row.project_id, month), row.segment.first)
        firsts[row.project_id, month] = min(first, row.segment.first)
        if row.segment.run_id is not None:
            runs.setdefault(month, set()).add(row.segment.run_id)
    for month in {month for _, month in firsts}:
        await connection.execute(
            "SELECT make_partition('segments', $1)",
            datetime(month.year, month.month, 2, tzinfo=UTC),
        )
    await connection.copy_records_to_table(
        "segments", records=[_columns(row) for row in made], columns=_COLUMNS
    )
    for (project_id, month), first in firsts.items():
        await connection.execute(_MONTH_OF_PROJECT, project_id, month, first)
    for month, ids in runs.items():
        await connection.execute(_MONTH_OF_RUNS, sorted(ids), month)


_COLUMNS = ("project_id", "last_line", *stored.COLUMNS.split(", "))


def _columns(row: Row) -> tuple[Any, ...]:
    one = row.segment
    return (
        row.project_id,
        one.last_line if one.is_log else None,
        one.run_id,
        one.first,
        row.last,
        row.at,
        one.first_line if one.is_log else None,
        one.length,
        one.size,
        one.codec,
        one.levels,
        None if one.agents is None else sorted(one.agents),
        None if row.pieces is None else segments.encode_pieces(row.pieces),
        one.body,
    )


@dataclass(slots=True)
class _Lines:
    """Consecutive lines of a run that go into one segment."""

    first_seq: int
    first_line: int
    records: list[bytes] = field(default_factory=list)
    size: int = 0
    last_seq: int = 0
    at: datetime | None = None
    pieces: list[Piece] = field(default_factory=list)

    def takes(self, seq: int, line: int, record: bytes) -> bool:
        return (
            line == self.first_line + len(self.records)
            and len(self.records) < segments.MAX_RECORDS
            and self.size + len(record) < segments.MAX_BYTES
            and seq - self.first_seq < segments.MAX_SPAN
        )

    def add(self, seq: int, at: datetime, record: bytes) -> None:
        if self.pieces and seq == self.last_seq + 1 and at == self.at:
            last = self.pieces[-1]
            self.pieces[-1] = last._replace(length=last.length + 1)
        else:
            self.pieces.append(Piece(seq, 1, int(at.timestamp() * 1000)))
        self.records.append(record)
        self.size += len(record) + 1
        self.last_seq, self.at = seq, at


def to_segments(rows: Sequence[Any]) -> list[Row]:
    """The segments of rows that stand in the order of project and number."""
    made: list[Row] = []
    open_lines: dict[tuple[UUID, UUID], _Lines] = {}
    open_events: list[Any] = []
    for row in rows:
        if row["line_number"] is None:
            if open_events and not _goes_on(open_events, row):
                made += _events(open_events)
                open_events = []
            open_events.append(row)
            continue
        key = (row["project_id"], row["run_id"])
        record = _record(row)
        lines = open_lines.get(key)
        if lines is None or not lines.takes(row["seq"], row["line_number"], record):
            if lines is not None:
                made.append(_merged(key, lines))
            lines = open_lines[key] = _Lines(row["seq"], row["line_number"])
        lines.add(row["seq"], row["at"], record)
    made += _events(open_events)
    made += [_merged(key, lines) for key, lines in open_lines.items()]
    return made


def _goes_on(events: Sequence[Any], row: Any) -> bool:
    last = events[-1]
    same = ("project_id", "run_id", "at")
    return row["seq"] == last["seq"] + 1 and all(row[name] == last[name] for name in same)


def _events(rows: Sequence[Any]) -> list[Row]:
    given = [Event(row["type"], row["data"].encode(), row["run_id"]) for row in rows]
    made: list[Row] = []
    place = 0
    for segment in segments.of(given):
        numbered = segment._replace(first=rows[place]["seq"])
        row = rows[place]
        made.append(Row(row["project_id"], numbered, numbered.last, row["at"], None))
        place += segment.length
    return made


def _merged(key: tuple[UUID, UUID], lines: _Lines) -> Row:
    project_id, run_id = key
    records = b"\n".join(lines.records)
    given = Lines(run_id, records, len(lines.records), *_said(records), lines.first_line)
    [segment] = segments.of([given])
    pieces = tuple(lines.pieces) if len(lines.pieces) > 1 else None
    assert lines.at is not None
    return Row(
        project_id, segment._replace(first=lines.first_seq), lines.last_seq, lines.at, pieces
    )


def _said(records: bytes) -> tuple[int, frozenset[str]]:
    """The levels and agents that the records name; perhaps a few that only a payload names."""
    levels = segments.NO_LEVEL
    for level in set(_LEVEL.findall(records)):
        levels |= segments.level_bit(level.decode())
    agents = {orjson.loads(agent) for agent in set(_AGENT.findall(records))}
    return levels, frozenset(agents)


def _record(row: Any) -> bytes:
    """The record of a line's data. Version 0.1 wrote the run and the number first."""
    data: str = row["data"]
    head = f'{{"run_id":"{row["run_id"]}","line_number":{row["line_number"]},'
    if data.startswith(head):
        return data[len(head) :].encode()
    try:
        members = orjson.loads(data)
        members = {"line": "", **members}
    except (orjson.JSONDecodeError, TypeError) as error:
        raise ConversionError(
            f"event {row['seq']} of project {row['project_id']} can't be converted: {error}"
        ) from error
    rest = {name: members[name] for name in members if name not in ("run_id", "line_number")}
    return orjson.dumps(rest)[1:]
