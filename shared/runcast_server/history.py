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
from typing import Literal, NamedTuple
from uuid import UUID

from runcast_server import frames
from runcast_server.db import Connection
from runcast_server.errors import Unavailable
from runcast_server.frames import Block, Event

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
    "of_run": "run_id = ANY($5::uuid[])",
}
_PAGES = {
    name: f"""
SELECT c.epoch, c.last_seq, c.floor_seq AS floor, page.* FROM project_counters c, (
    SELECT count(*) AS count, max(seq) AS last, convert_to(coalesce(string_agg(
        'id: ' || seq || E'\\nevent: ' || type || E'\\ndata: ' || data::text || E'\\n\\n', '' ORDER BY seq
    ), ''), 'UTF8') AS frames
    FROM (SELECT seq, type, data FROM events
          WHERE project_id = $1 AND seq > $2 AND seq <= $3 AND {where} ORDER BY seq LIMIT $4) wanted
) page WHERE c.project_id = $1
"""
    for name, where in _WHERE.items()
}
"""Postgres puts the frames together: a page of 1,000 events then costs the hub one value instead of five
thousand."""


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
    if run is not None:
        name, runs = "of_run", [run]
    elif logs is None or logs == "all":
        name, runs = ("no_logs" if logs is None else "all"), []
    else:
        name, runs = "logs_of", list(logs)
    end = min(upto, after + FILTERED_SPAN) if runs else upto
    extra = [runs] if runs else []
    row = await connection.fetchrow(_PAGES[name], project_id, after, end, PAGE_EVENTS, *extra)
    if row is None or row["epoch"] != epoch or row["last_seq"] < end:
        raise Unavailable(f"the history of {project_id} has gone back before {end}")
    floor, count, last = row["floor"], row["count"], row["last"]
    whole = (min(end - after, PAGE_EVENTS), min(end, after + PAGE_EVENTS))
    if name == "all" and floor <= after < end and (count, last) != whole:
        raise Broken(f"events of {project_id} after {after}: {count} up to {last}, not {whole}")
    return Page(row["frames"], last if count == PAGE_EVENTS else end, floor)
