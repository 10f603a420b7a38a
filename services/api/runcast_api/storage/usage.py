"""What a project's log takes: counted behind the writers, from where the last count ended.

Counting costs a short statement for each part of the log, once. No writer waits for it, so what is shown and
what quotas are judged by may be some seconds old.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel

from runcast_api.storage.policy import Bounds, Quota, Retention
from runcast_server.db import Connection, Pool, acquire
from runcast_server.runs import in_milliseconds

BATCH_SEGMENTS = 5_000
"""Segments that one statement counts: some tens of milliseconds."""

_SHOW = """
SELECT p.retention, p.quota, coalesce(s.bytes, 0) AS bytes, coalesce(s.lines, 0) AS lines,
       coalesce(s.events, 0) AS events, s.oldest_at,
       (SELECT coalesce(sum(size), 0)::bigint FROM artifacts a WHERE a.project_id = p.id) AS artifacts_bytes,
       coalesce(s.epoch = c.epoch AND s.upto_seq = c.last_seq, c.last_seq = 0) AS is_complete
FROM projects p JOIN project_counters c ON c.project_id = p.id
LEFT JOIN project_storage s ON s.project_id = p.id
WHERE p.id = $1
"""


class Storage(BaseModel):
    """What a project takes: `bytes` of its log as it is stored (compressed), `lines` and `events` (lines are
    events too), `artifacts_bytes` of all versions of its artifacts; `oldest_at` is when the oldest event that
    is kept was committed. `retention` and `quota` are what holds, the defaults of the server included.
    `is_complete` is false where the log grows faster than it is counted, or was never counted before."""

    bytes: int
    lines: int
    events: int
    artifacts_bytes: int
    oldest_at: str | None
    retention: Retention
    quota: Quota
    is_complete: bool


async def measure(
    pool: Pool, project_id: UUID, *, most_segments: int = 100 * BATCH_SEGMENTS
) -> None:
    """Counts what was not counted yet, in transactions of `BATCH_SEGMENTS`, up to `most_segments`."""
    for _ in range(0, most_segments, BATCH_SEGMENTS):
        async with acquire(pool) as connection:
            counted = await connection.fetchval(
                "SELECT measure_project($1, $2)", project_id, BATCH_SEGMENTS
            )
        if counted < BATCH_SEGMENTS:
            return


async def show(connection: Connection, project_id: UUID, bounds: Bounds) -> dict[str, Any]:
    """The `Storage` of a project, as far as it is counted."""
    row = await connection.fetchrow(_SHOW, project_id)
    counted = {name: row[name] for name in ("bytes", "lines", "events", "artifacts_bytes")}
    return {
        **counted,
        "oldest_at": in_milliseconds(row["oldest_at"]),
        **bounds.effective(row["retention"], row["quota"]),
        "is_complete": row["is_complete"],
    }
