"""The last lines of runs, sent ahead of what is live.

Backfilled frames carry no id: they are not events of the stream's order but a copy of what came before
its cursor. After the lines of a run comes a `backfill` frame that says which they were.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from runcast_server.db import Pool, acquire
from runcast_server.eventlog import frames

PAGE_LINES = 500

_LAST_LINE = """
SELECT line_number FROM events
WHERE run_id = $1 AND project_id = $2 AND seq <= $3 AND line_number IS NOT NULL
ORDER BY line_number DESC LIMIT 1
"""

_LINES = """
SELECT line_number, convert_to(data::text, 'UTF8') AS data FROM events
WHERE run_id = $1 AND project_id = $2 AND line_number >= $3 AND line_number <= $4
ORDER BY line_number LIMIT $5
"""


async def lines(
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
        last = await connection.fetchval(_LAST_LINE, run_id, project_id, upto) or 0
    first = next_line = max(1, last - count + 1)
    while next_line <= last:
        async with acquire(pool) as connection:
            rows = await connection.fetch(_LINES, run_id, project_id, next_line, last, PAGE_LINES)
        if not rows:
            break
        if next_line == first:
            first = rows[0]["line_number"]
        next_line = rows[-1]["line_number"] + 1
        yield b"".join([b"event: agent:log\ndata: %b\n\n" % row["data"] for row in rows])
    ends = {"from_line": first, "to_line": last} if last else {"from_line": None, "to_line": None}
    yield frames.control(
        "backfill", {"run_id": str(run_id), **ends, "complete": last == 0 or first == 1}
    )
