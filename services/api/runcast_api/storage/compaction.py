"""Merges the segments of lines that trickled in, so that a line of a quiet agent costs no row.

Agents that write a line now and then leave a segment for each. What is older than everything that lives in
memory or Redis is looked at once, in the order of numbers: small segments of one run whose lines follow each
other, and whose numbers lie within `MAX_SPAN`, become one, in one transaction (`merge_segments`). A reader
finds the segments or the merged one, and shows the same bytes of either. A process that dies between two
merges loses nothing: what it had merged stays merged, and the place up to which a project was looked at moves
behind the merges.

A step is bounded in time, and each merge in rows. A merge locks the rows that it replaces, and the row that
says what the project takes; no writer of lines waits for either.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import structlog

from runcast_api.storage import usage
from runcast_server import loops
from runcast_server.db import Connection, Pool, acquire
from runcast_server.eventlog import months, segments, stored
from runcast_server.eventlog.segments import MAX_BYTES, MAX_RECORDS, MAX_SPAN, Damaged
from runcast_server.loops import Loop

EVERY_SECONDS = 10.0
INDEX_SECONDS = 3600.0
SPARSE_BYTES = 16 * 1024 * 1024
"""An index below this size isn't worth rebuilding."""
STEP_SECONDS = 5.0
"""How long one step merges before it leaves the processor and Postgres to others."""
MOST_PROJECTS = 100
AGE = timedelta(hours=1)
"""Redis keeps a project's recent events for as long at most; hubs replay them from there."""
IDLE = timedelta(days=1)
"""A project without events for so long is looked at up to its last event, however few there are."""
SMALL_RECORDS = 250
SMALL_BYTES = 64 * 1024
"""A segment that is larger in either has no need to be merged."""
STRIDES = (20 * MAX_SPAN, MAX_SPAN)
"""How many numbers are looked at together, where all of them are old enough."""
MOST_ROWS = 2 * MAX_SPAN
"""Small segments that are looked at together at most: more than one span can have."""

_PROJECTS = """
SELECT c.project_id, greatest(coalesce(k.upto_seq, 0), c.floor_seq) AS upto_seq, c.last_seq,
       c.last_at < clock_timestamp() - $2::interval AS is_idle
FROM project_counters c LEFT JOIN segment_compaction k USING (project_id)
WHERE c.last_seq - greatest(coalesce(k.upto_seq, 0), c.floor_seq) >= $1
   OR (c.last_seq > greatest(coalesce(k.upto_seq, 0), c.floor_seq)
       AND c.last_at < clock_timestamp() - $2::interval)
ORDER BY k.looked_at NULLS FIRST LIMIT $3
"""
_IS_OLD = """
SELECT at < clock_timestamp() - $3::interval FROM segments
WHERE project_id = $1 AND last_seq >= $2{within} ORDER BY last_seq LIMIT 1
"""
_SMALL = f"""
SELECT run_id, first_seq, last_seq, first_line, last_line, count, size, at FROM segments
WHERE project_id = $1 AND last_seq > $2 AND last_seq <= $3 AND first_line IS NOT NULL
  AND count <= {SMALL_RECORDS} AND size <= {SMALL_BYTES}{{within}}
ORDER BY last_seq LIMIT {MOST_ROWS}
"""
_WHOLE = f"""
SELECT {stored.COLUMNS}, xmin::text AS version FROM segments
WHERE project_id = $1 AND run_id = $2 AND first_line IS NOT NULL AND last_seq = ANY ($3){{within}}
ORDER BY last_seq
"""
_MERGE = "SELECT merge_segments($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
_REBUILD = "SELECT rebuild_sparse_index($1)"
_REBUILD_SECONDS = 300.0
_LOOKED = """
INSERT INTO segment_compaction (project_id, upto_seq) VALUES ($1, $2)
ON CONFLICT (project_id) DO UPDATE
SET upto_seq = greatest(segment_compaction.upto_seq, excluded.upto_seq), looked_at = clock_timestamp()
"""

_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

log = structlog.get_logger()


class Row(NamedTuple):
    """What is said of a stored segment of lines, without its body."""

    run_id: UUID
    first_seq: int
    last_seq: int
    first_line: int
    last_line: int
    length: int
    """How many lines."""
    size: int
    at: datetime


def groups(rows: Iterable[Row]) -> list[list[Row]]:
    """Which of these segments become one: of one run, following each other in lines, of one month, within
    the limits of a merged segment. `rows` are in the order of their numbers; groups of one are left out."""
    open_groups: dict[UUID, list[Row]] = {}
    found: list[list[Row]] = []
    for row in rows:
        group = open_groups.setdefault(row.run_id, [])
        if group and not _fits(group, row):
            found.append(group)
            group = open_groups[row.run_id] = []
        group.append(row)
    return [group for group in [*found, *open_groups.values()] if len(group) > 1]


def _fits(group: Sequence[Row], row: Row) -> bool:
    first, last = group[0], group[-1]
    return (
        row.first_line == last.last_line + 1
        and row.last_seq - first.first_seq < MAX_SPAN
        and (row.at.year, row.at.month) == (first.at.year, first.at.month)
        and sum(each.length for each in group) + row.length <= MAX_RECORDS
        and sum(each.size + 1 for each in group) + row.size <= MAX_BYTES
    )


@dataclass(frozen=True, slots=True)
class Compactor:
    """Any number of processes may merge at once: who comes second finds the segments changed."""

    pool: Pool
    age: timedelta = AGE
    idle: timedelta = IDLE

    def loops(self) -> list[Loop]:
        """Its work as loops."""
        return [
            Loop("compaction", self.compact, EVERY_SECONDS),
            Loop("sparse indexes", self.rebuild_indexes, INDEX_SECONDS, limit_seconds=600.0),
        ]

    async def compact(self) -> None:
        """One step. One project's failure costs that one."""
        end = time.monotonic() + STEP_SECONDS
        async with acquire(self.pool) as connection:
            rows = await connection.fetch(_PROJECTS, MAX_SPAN, self.idle, MOST_PROJECTS)
        projects = loops.Items("compaction")
        for row in rows:
            if time.monotonic() > end:
                return
            with projects.one(project=str(row["project_id"])):
                await self._compact(row, end)

    async def rebuild_indexes(self, at_least: int = SPARSE_BYTES) -> None:
        """Rebuilds indexes of past months of which merging has left little."""
        while True:
            async with acquire(self.pool) as connection:
                rebuilt = await connection.fetchval(_REBUILD, at_least, timeout=_REBUILD_SECONDS)
            if rebuilt is None:
                return
            log.info("segments.index_rebuilt", index=rebuilt)

    async def _compact(self, project: Any, end: float) -> None:
        project_id, upto = project["project_id"], project["upto_seq"]
        # Noted before anything can fail, so that the next look begins with others.
        await self._looked(project_id, upto)
        merged = 0
        while time.monotonic() < end:
            reach = await self._reach(project, upto)
            if reach is None:
                break
            upto, number = await self._merge_within(project_id, upto, reach)
            merged += number
            await self._looked(project_id, upto)
        else:
            return
        if merged:
            log.info("segments.merged", project=str(project_id), segments=merged)

    async def _looked(self, project_id: UUID, upto: int) -> None:
        async with acquire(self.pool) as connection:
            await connection.execute(_LOOKED, project_id, upto)

    async def _reach(self, project: Any, after: int) -> int | None:
        """Up to which number all events are old enough, as far as one look goes; None: none are."""
        project_id: UUID = project["project_id"]
        last: int = project["last_seq"]
        for stride in STRIDES:
            end = min(after + stride, last)
            if end == after or (end - after < stride and not (end == last and project["is_idle"])):
                continue
            async with acquire(self.pool) as connection:
                span = await months.forward(connection, project_id, end - 1, end)
                statement = _IS_OLD.format(within=span.within)
                if await connection.fetchval(statement, project_id, end, self.age):
                    return end
        return None

    async def _merge_within(self, project_id: UUID, after: int, upto: int) -> tuple[int, int]:
        """Merges among the numbers above `after`; answers up to which it looked, and how many segments
        are merged."""
        async with acquire(self.pool) as connection:
            span = await months.forward(connection, project_id, after, upto)
            upto = span.upto
            found = await connection.fetch(
                _SMALL.format(within=span.within), project_id, after, upto
            )
        rows = [Row(*row) for row in found]
        if len(rows) == MOST_ROWS:
            upto = rows[-1].last_seq
        merged = 0
        for group in groups(rows):
            with loops.item("compaction", project=str(project_id), run=str(group[0].run_id)):
                merged += await self._merge(project_id, group)
        return upto, merged

    async def _merge(self, project_id: UUID, group: Sequence[Row]) -> int:
        """Merges a group; answers how many segments that were, 0 where they have changed meanwhile."""
        async with acquire(self.pool) as connection:
            whole = await _read(connection, project_id, group)
            if len(whole) != len(group):
                return 0
            try:
                merged = await asyncio.to_thread(_merged, whole)
            except Damaged as error:
                log.error("segment.damaged", project=str(project_id), error=str(error))
                return 0
            given = _arguments(project_id, group, whole, merged)
            try:
                is_done = await connection.fetchval(_MERGE, *given)
            except asyncpg.SerializationError:
                return 0
        if not is_done:
            await usage.measure(self.pool, project_id)
            async with acquire(self.pool) as connection:
                is_done = await connection.fetchval(_MERGE, *given)
        return len(group) if is_done else 0


async def _read(connection: Connection, project_id: UUID, group: Sequence[Row]) -> Sequence[Any]:
    at = group[0].at.date()
    statement = _WHOLE.format(within=months.between(at, at))
    rows: Sequence[Any] = await connection.fetch(
        statement, project_id, group[0].run_id, [row.last_seq for row in group]
    )
    return rows


def _merged(rows: Sequence[Any]) -> tuple[segments.Segment, tuple[segments.Piece, ...]]:
    """One segment of these rows, some of which may be merged ones. Raises `Damaged`."""
    parts = [part for row in rows for part in stored.parts(row)]
    return segments.merge([(part.segment, (part.at - _EPOCH) // _MILLISECOND) for part in parts])


def _arguments(
    project_id: UUID,
    group: Sequence[Row],
    rows: Sequence[Any],
    merged: tuple[segments.Segment, tuple[segments.Piece, ...]],
) -> tuple[Any, ...]:
    """The parameters of `_MERGE`."""
    segment, pieces = merged
    return (
        project_id,
        group[0].run_id,
        group[0].at.date().replace(day=1),
        [row.last_seq for row in group],
        [row["version"] for row in rows],
        segment.first,
        segment.first_line,
        segment.length,
        segment.size,
        segment.codec,
        segment.levels,
        None if segment.agents is None else sorted(segment.agents),
        segments.encode_pieces(pieces),
        segment.body,
    )
