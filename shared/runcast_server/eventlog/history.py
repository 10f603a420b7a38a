"""Reading events back from Postgres, as the same bytes that went out live.

Every read is one short statement of its own: an old snapshot would slow the hot counters down.

A page up to a number that is known to exist is complete, also one of which a filter leaves out most, so
that no one can count whether one is missing. Numbers are taken under the counter row's lock, which is held
until the commit: when N can be seen, by anyone, all below it are committed, and a statement that begins
then sees them. The same statement reads the counter row. Where that has N no more, or another epoch,
history went back, and the page says nothing; where its floor has moved, retention deleted events in the
meantime (the floor moves in the transaction that deletes, so a statement sees both or neither).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from uuid import UUID

from runcast_server.db import Connection
from runcast_server.errors import Unavailable
from runcast_server.eventlog import chains, frames, months, segments, stored
from runcast_server.eventlog.chains import Chain
from runcast_server.eventlog.months import Months
from runcast_server.eventlog.segments import Segment
from runcast_server.eventlog.stored import Part

PAGE_EVENTS = 1000
"""Numbers that a page of all events spans; one of a filter ends after the segment that has this many."""
PAGE_BYTES = 1024 * 1024
"""A page ends after the segment with which its frames reach this size."""
PAGE_ROWS = 1000
BACK_ROWS = 64
FRAME_BYTES = 100
"""About what the number, type and run add to a record in its frame."""
FILTERED_SPAN = 50_000
"""Numbers that one filtered read passes at most."""


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

_HEAD = "SELECT last_seq FROM project_counters WHERE project_id = $1"


class Kind(NamedTuple):
    """Which segments are read: a condition, in which $5 is what is wanted. `branches` are the partial indexes
    that serve it."""

    where: str
    branches: tuple[str, ...] = ("true",)
    is_of_run: bool = False


_LINES, _NO_LINES = "first_line IS NOT NULL", "first_line IS NULL"
_LINES_OF_RUN = stored.SINGLE, stored.MERGED
ALL = Kind("true")
LINES = Kind(_LINES)
NO_LINES = Kind(_NO_LINES)
LINES_OF_SOME = Kind(f"({_NO_LINES} OR run_id = ANY($5::uuid[]))")
OF_RUN = Kind("run_id = $5", (_NO_LINES, *_LINES_OF_RUN), True)
LINES_OF_RUN = Kind("run_id = $5", _LINES_OF_RUN, True)
EVENTS_OF_RUN = Kind("run_id = $5", (_NO_LINES,), True)


def _overlapping(kind: Kind, mine: str, number: str) -> str:
    """The segments that end at or after a number, and may begin before it, as further branches.

    Segments that were not merged don't overlap each other, so of these it is the next one at most; and so it
    is of a run's lines. Merged ones have an index of their own.
    """
    if kind.is_of_run:
        which = [f"AND {branch} AND last_seq >= {number}" for branch in kind.branches]
        merged = ""
    else:
        near = f"last_seq >= {number} AND last_seq < {number} + {segments.MAX_RECORDS}"
        which = [f"AND pieces IS NULL AND {near}"]
        merged = f""" UNION ALL (SELECT {stored.COLUMNS} {mine} AND pieces IS NOT NULL
            AND last_seq >= {number} AND last_seq < {number} + {segments.MAX_SPAN})"""
    return (
        "".join(
            f" UNION ALL (SELECT {stored.COLUMNS} {mine} {each} ORDER BY last_seq LIMIT 1)"
            for each in which
        )
        + merged
    )


def _forward(kind: Kind, within: str) -> str:
    """The statement that reads a page: how far it goes, and the rows that overlap it.

    It ends after the segment that fills it, in bytes, events or rows.
    """
    mine = f"FROM segments WHERE project_id = $1 AND {kind.where}{within}"
    first = " UNION ALL ".join(
        f"""(SELECT last_seq, size, count {mine} AND {branch} AND last_seq > $2 AND last_seq <= $3
             ORDER BY last_seq LIMIT {PAGE_ROWS})"""
        for branch in kind.branches
    )
    rows = " UNION ALL ".join(
        f"(SELECT {stored.COLUMNS} {mine} AND {branch} AND last_seq > $2 AND last_seq <= page_end.upto)"
        for branch in kind.branches
    )
    return f"""
    WITH begins AS (
        SELECT last_seq, sum(size + {FRAME_BYTES} * count) OVER before < $4
            AND sum(count) OVER before < {PAGE_EVENTS} AS fits
        FROM (SELECT * FROM ({first}) each ORDER BY last_seq LIMIT {PAGE_ROWS}) ahead
        WINDOW before AS (ORDER BY last_seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ), page_end AS (
        SELECT CASE WHEN count(*) < {PAGE_ROWS} AND bool_and(fits IS NOT FALSE) IS NOT FALSE THEN $3
            ELSE max(last_seq) FILTER (WHERE fits IS NOT FALSE) END AS upto FROM begins
    )
    SELECT c.epoch, c.last_seq AS head, c.floor_seq AS floor, page_end.upto, page.*
    FROM project_counters c CROSS JOIN page_end
    LEFT JOIN LATERAL ({rows}{_overlapping(kind, mine, "page_end.upto + 1")}) page
        ON page.first_seq <= page_end.upto
    WHERE c.project_id = $1
    """


def _backward(kind: Kind, within: str) -> str:
    """The statement that reads the last rows below a number, about $4 bytes of them."""
    mine = f"FROM segments WHERE project_id = $1 AND {kind.where}{within}"
    rows = " UNION ALL ".join(
        f"""(SELECT {stored.COLUMNS} {mine} AND {branch} AND last_seq > $2 AND last_seq < $3
             ORDER BY last_seq DESC LIMIT {BACK_ROWS})"""
        for branch in kind.branches
    )
    return f"""
    (SELECT {stored.COLUMNS} FROM (
        SELECT *, sum(size) OVER before AS bytes_before
        FROM (SELECT * FROM ({rows}) each ORDER BY last_seq DESC LIMIT {BACK_ROWS}) near
        WINDOW before AS (ORDER BY last_seq DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
     ) page WHERE coalesce(bytes_before, 0) < $4 ORDER BY last_seq DESC)
    {_overlapping(kind, mine, "$3")}
    """


class Read(NamedTuple):
    """Where the project stood, how far was read, and what is there, in order."""

    floor: int
    upto: int
    parts: Sequence[Part]


class Back(NamedTuple):
    """The last events below a number, in order, and down to which number they are all of them."""

    parts: Sequence[Part]
    down_to: int


async def read(
    connection: Connection,
    project_id: UUID,
    epoch: int | None,
    after: int,
    upto: int,
    kind: Kind,
    wanted: UUID | Sequence[UUID] | None = None,
) -> Read:
    """The segments of a kind above `after`, up to `upto` or to where the page is full, or to where its months
    end. Raises `Unavailable` where Postgres has `upto` no more, or another epoch."""
    run = await _months(connection, kind, wanted)
    span = await months.forward(connection, project_id, after, upto, run)
    arguments = (project_id, after, span.upto, PAGE_BYTES, *_extra(wanted))
    rows = await months.fetch(connection, span.is_part, _forward(kind, span.within), *arguments)
    if not rows or epoch not in (None, rows[0]["epoch"]) or rows[0]["head"] < upto:
        raise Unavailable(f"the history of {project_id} has gone back before {upto}")
    end = rows[0]["upto"]
    found = [row for row in rows if row["first_seq"] is not None]
    return Read(rows[0]["floor"], end, stored.in_order(found, after, end))


async def read_back(
    connection: Connection,
    project_id: UUID,
    after: int,
    before: int,
    kind: Kind,
    wanted: UUID | Sequence[UUID] | None = None,
) -> Back:
    """The last segments of a kind above `after` and below `before`, about a page of them."""
    run = await _months(connection, kind, wanted)
    span = await months.backward(connection, project_id, after, before - 1, run)
    after = span.after
    arguments = (project_id, after, before, PAGE_BYTES, *_extra(wanted))
    rows = await months.fetch(connection, span.is_part, _backward(kind, span.within), *arguments)
    below = [row for row in rows if row["last_seq"] < before]
    if not below:
        return Back(stored.in_order(rows, after, before - 1), after + 1)
    # What wasn't read ends below the last row. A merged one may lie between its pieces.
    lowest = min(below, key=lambda row: row["last_seq"])
    down_to = lowest["first_seq" if lowest["pieces"] is None else "last_seq"]
    return Back(stored.in_order(rows, down_to - 1, before - 1), down_to)


async def _months(connection: Connection, kind: Kind, wanted: Any) -> Months | None:
    return await months.of_run(connection, wanted) if kind.is_of_run else None


def _extra(wanted: Any) -> tuple[Any, ...]:
    return () if wanted is None else (wanted,)


async def positions(connection: Connection, project_ids: Sequence[UUID]) -> dict[UUID, Position]:
    """Where each of the projects stands, in one query; deleted ones are missing."""
    rows = await connection.fetch(_POSITIONS, list(project_ids))
    return {row[0]: Position(row[1], row[2], row[3]) for row in rows}


async def chain(
    connection: Connection, project_id: UUID, epoch: int, after: int, upto: int
) -> Chain | None:
    """The events `after` + 1 … at most `upto`, as many as a page has; None where there are none.

    Raises `Broken` when the page doesn't begin at `after` + 1 or has a hole.
    """
    head = await connection.fetchval(_HEAD, project_id)
    if head is None or head <= after:
        return None
    end = min(upto, head, after + PAGE_EVENTS)
    page = await read(connection, project_id, None, after, end, ALL)
    found = [part.segment for part in page.parts]
    if not found and page.floor > after:
        return None
    _check(project_id, after, page.upto, found)
    return chains.of(epoch, found)


def _check(project_id: UUID, after: int, upto: int, found: Sequence[Segment]) -> None:
    """Raises `Broken` unless these are all events above `after` up to `upto`."""
    seq = after
    for segment in found:
        if segment.first != seq + 1:
            break
        seq = segment.last
    if seq != upto:
        raise Broken(f"events of {project_id} after {after}: up to {seq}, not {upto}")


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
    kind, end = ALL, upto
    wanted: UUID | Sequence[UUID] | None = None
    if run is not None:
        kind, wanted = OF_RUN, run
    elif logs is None:
        kind = NO_LINES
    elif logs == "all":
        end = min(upto, after + PAGE_EVENTS)
    else:
        kind, wanted, end = LINES_OF_SOME, list(logs), min(upto, after + FILTERED_SPAN)
    found = await read(connection, project_id, epoch, after, end, kind, wanted)
    parts = [part.segment for part in found.parts]
    if kind is ALL and found.floor <= after < end:
        _check(project_id, after, found.upto, parts)
    return Page(b"".join([frames.of(segment) for segment in parts]), found.upto, found.floor)
