"""Reading events back from Postgres, as the same bytes that went out live.

Every read is one short statement of its own: an old snapshot would slow the hot counters down.

A page up to a number that is known to exist is complete, also one of which a filter leaves out most, so
that nobody can count whether one is missing. Numbers are taken under the counter row's lock, which is held
until the commit: when N can be seen, by anyone, all below it are committed, and a statement that begins
then sees them. The same statement reads the counter row. Where that has N no more, or another epoch,
history went back, and the page says nothing; where its floor has moved, retention dropped a day in the
meantime (floor and drop are one transaction, and the drop waits for readers of the table).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from runcast_server.db import Connection
from runcast_server.errors import Unavailable
from runcast_server.eventlog import frames
from runcast_server.eventlog.frames import Block, Event

PAGE_EVENTS = 1000
FILTERED_SPAN = 50_000
"""Numbers that one filtered read passes at most: an unwanted line costs it about half a microsecond."""


class Broken(Exception):
    """Events that retention has not dropped are missing: an error, never a gap to announce."""


class Position(NamedTuple):
    """Where a project stands: identity of its history, newest number, highest number dropped."""

    epoch: int
    last_seq: int
    floor_seq: int


@dataclass(frozen=True, slots=True)
class Page:
    """Frames of the events that a filter wants, and the number up to which they were looked for.

    Where `floor` lies above the number after which the page begins, retention took events of it while
    it was read, or before: it says nothing about them.
    """

    frames: bytes
    upto: int
    floor: int = 0


_POSITIONS = """
SELECT c.project_id, c.epoch, c.last_seq, c.floor_seq FROM project_counters c
JOIN projects p ON p.id = c.project_id
WHERE c.project_id = ANY($1::uuid[]) AND p.deleted_at IS NULL
"""

_EVENTS = """
SELECT seq, type, run_id, line_number, data::text AS data FROM events
WHERE project_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4
"""

_WHERE = {
    "all": "true",
    "no_logs": "line_number IS NULL",
    "logs_of": "(line_number IS NULL OR run_id = ANY($5::uuid[]))",
}
_ROWS = {
    name: f"""
        SELECT seq, type, data FROM events
        WHERE project_id = $1 AND seq > $2 AND seq <= $3 AND {where} ORDER BY seq LIMIT $4
    """
    for name, where in _WHERE.items()
} | {
    "of_run": """
        SELECT * FROM (
            (SELECT seq, type, data FROM events
             WHERE project_id = $1 AND run_id = $5 AND line_number > $6 AND line_number <= $7 AND at >= $8
             ORDER BY line_number LIMIT $4)
            UNION ALL
            (SELECT seq, type, data FROM events
             WHERE project_id = $1 AND run_id = $5 AND line_number IS NULL AND seq > $2 AND seq <= $3
               AND at >= $8
             ORDER BY seq LIMIT $4)
        ) of_run ORDER BY seq LIMIT $4
    """
}
"""A run's lines and its other events have an index each, so its page costs what is in it, however much
other runs say."""
_PAGES = {
    name: f"""
SELECT c.epoch, c.last_seq, c.floor_seq AS floor, page.* FROM project_counters c, (
    SELECT count(*) AS count, max(seq) AS last, convert_to(coalesce(string_agg(
        'id: ' || seq || E'\\nevent: ' || type || E'\\ndata: ' || data::text || E'\\n\\n', '' ORDER BY seq
    ), ''), 'UTF8') AS frames
    FROM ({rows}) wanted
) page WHERE c.project_id = $1
"""
    for name, rows in _ROWS.items()
}
"""Postgres puts the frames together: a page of 1,000 events then costs the hub one value instead of five
thousand."""

_RUN = """
SELECT r.last_line_number, least(
    (SELECT at FROM events WHERE run_id = r.id AND line_number IS NOT NULL ORDER BY line_number LIMIT 1),
    (SELECT at FROM events WHERE run_id = r.id AND line_number IS NULL ORDER BY seq LIMIT 1)) AS since
FROM runs r WHERE r.id = $1
"""
"""The times of a project's events never go back, so a run's first ones bound the rest. When the run itself
was made is told by another clock, which may be any time off."""
_LINE_FROM = """
SELECT line_number, seq FROM events
WHERE run_id = $1 AND line_number >= $2 AND at >= $3 ORDER BY line_number LIMIT 1
"""


class LinesOfRun(NamedTuple):
    """The lines of a run that are events between two numbers: above `first`, up to `last`. It has no
    events from before `since`."""

    first: int
    last: int
    since: datetime


async def lines_of_run(
    connection: Connection, run_id: UUID, after: int, upto: int | None
) -> LinesOfRun:
    """Which lines of a run are events above `after` and up to `upto` (None: to the newest)."""
    run = await connection.fetchrow(_RUN, run_id)
    if run is None or run["since"] is None:
        return LinesOfRun(0, 0, datetime.now(UTC))
    since, last = run["since"], run["last_line_number"]
    first = await _lines_upto(connection, run_id, after, last, since) if after else 0
    if upto is not None:
        last = await _lines_upto(connection, run_id, upto, last, since)
    return LinesOfRun(first, last, since)


async def _lines_upto(
    connection: Connection, run_id: UUID, seq: int, last: int, since: datetime
) -> int:
    """How many of a run's lines, the last of which is `last`, are events up to number `seq`.

    A run's lines are numbered in the order of events, so it is found by halves: there is no index for
    it, which every stored line would pay for.
    """
    low, high = 0, last
    while low < high:
        middle = (low + high + 1) // 2
        row = await connection.fetchrow(_LINE_FROM, run_id, middle, since)
        if row is not None and row["seq"] <= seq:
            low = int(row["line_number"])
        else:
            high = middle - 1
    return low


async def positions(connection: Connection, project_ids: Sequence[UUID]) -> dict[UUID, Position]:
    """Where each of the projects stands, in one query; deleted ones are missing."""
    rows = await connection.fetch(_POSITIONS, list(project_ids))
    return {row[0]: Position(row[1], row[2], row[3]) for row in rows}


async def block(
    connection: Connection,
    project_id: UUID,
    epoch: int,
    after: int,
    upto: int,
) -> Block | None:
    """The events `after` + 1 … at most `upto`, at most `PAGE_EVENTS`; None where there are none.

    Raises `Broken` when the page doesn't begin at `after` + 1 or has a hole.
    """
    rows = await connection.fetch(_EVENTS, project_id, after, upto, PAGE_EVENTS)
    if not rows:
        return None
    if rows[0]["seq"] != after + 1 or rows[-1]["seq"] != after + len(rows):
        raise Broken(f"events of {project_id} after {after}: {rows[0]['seq']}…{rows[-1]['seq']}")
    return frames.build(
        epoch,
        after + 1,
        [
            Event(row["type"], row["data"].encode(), row["run_id"], row["line_number"])
            for row in rows
        ],
    )


async def page(
    connection: Connection,
    project_id: UUID,
    epoch: int,
    after: int,
    upto: int,
    *,
    logs: Sequence[UUID] | Literal["all"] | None,
    run: UUID | None = None,
) -> Page:
    """The frames of the events above `after`: all of them, without log lines (None), or with those of
    the runs `logs`; of `run` alone where one is named.

    Passes at most `FILTERED_SPAN` numbers where unwanted log lines must be stepped over. `upto` must
    exist in this `epoch`. Raises `Unavailable` where Postgres has it no more, and `Broken` where all events
    are asked for and one above the floor is missing.
    """
    runs: list[UUID]
    extra: list[Any]
    if run is not None:
        lines = await lines_of_run(connection, run, after, upto)
        name, runs, extra = "of_run", [], [run, *lines]
    elif logs is None or logs == "all":
        name, runs, extra = ("no_logs" if logs is None else "all"), [], []
    else:
        name, runs = "logs_of", list(logs)
        extra = [runs]
    end = min(upto, after + FILTERED_SPAN) if runs else upto
    row = await connection.fetchrow(_PAGES[name], project_id, after, end, PAGE_EVENTS, *extra)
    if row is None or row["epoch"] != epoch or row["last_seq"] < end:
        raise Unavailable(f"the history of {project_id} has gone back before {end}")
    floor, count, last = row["floor"], row["count"], row["last"]
    whole = (min(end - after, PAGE_EVENTS), min(end, after + PAGE_EVENTS))
    if name == "all" and floor <= after < end and (count, last) != whole:
        raise Broken(f"events of {project_id} after {after}: {count} up to {last}, not {whole}")
    return Page(row["frames"], last if count == PAGE_EVENTS else end, floor)
