"""The last lines of runs, sent ahead of what is live.

Backfilled frames carry no id: they are not events of the stream's order but a copy of what came before
its cursor. After the lines of a run comes a `backfill` frame that says which they were.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from runcast_server.db import Pool, acquire
from runcast_server.eventlog import frames, lines
from runcast_server.eventlog.lines import Log, Window
from runcast_server.eventlog.months import Months

PAGE_LINES = 500
PAGE_BYTES = 256 * 1024


async def last_lines(
    pool: Pool, project_id: UUID, run_ids: Sequence[UUID], count: int, upto: int
) -> AsyncIterator[bytes]:
    """Chunks with the last `count` lines of each run among the events up to number `upto`."""
    for run_id in run_ids:
        async for chunk in _of_run(pool, project_id, run_id, count, upto):
            yield chunk


async def _of_run(
    pool: Pool, project_id: UUID, run_id: UUID, count: int, upto: int
) -> AsyncIterator[bytes]:
    async with acquire(pool) as connection:
        log = await lines.find(connection, run_id) or Log(run_id, 0, Months())
        last = await lines.last_upto(connection, project_id, log, upto)
    first = max(1, last - count + 1)
    head = b'event: agent:log\ndata: {"run_id":"%b","line_number":' % str(run_id).encode()
    place: Window | None = Window(first - 1, last + 1) if last else None
    has_begun = False
    while place is not None:
        async with acquire(pool) as connection:
            rows, rest = await lines.rows(connection, log, place, lines=PAGE_LINES, size=PAGE_BYTES)
        found = [line for row in rows for line in lines.lines_of(row, place)]
        if not found:
            break
        if not has_begun:
            has_begun, first = True, max(first, rows[0]["first_line"])
        yield b"".join([b"%b%d,%b\n\n" % (head, line.number, line.record) for line in found])
        place = rest
    ends = {"from_line": first, "to_line": last} if last else {"from_line": None, "to_line": None}
    yield frames.control(
        "backfill", {"run_id": str(run_id), **ends, "complete": last == 0 or first == 1}
    )
