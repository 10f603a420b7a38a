"""When a run's own stream is complete: the run is terminal, and every log of it is closed."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from runcast.contract import TERMINAL_STATUSES_SQL
from runcast_server.db import Pool, acquire

QUIET_SECONDS = 10.0
"""A source that nobody closes counts as closed when the run has been terminal and silent for so long."""

_COMPLETE = f"""
SELECT r.id, c.last_seq FROM runs r JOIN project_counters c USING (project_id)
WHERE r.id = ANY($1::uuid[]) AND r.status IN ({TERMINAL_STATUSES_SQL})
  AND (NOT EXISTS (SELECT FROM log_sources s
                   WHERE s.run_id = r.id AND s.closed_at IS NULL AND s.source <> 'api')
       OR greatest(r.heard_at, r.finished_at) < now() - make_interval(secs => $2))
"""


async def complete(pool: Pool, run_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Those of the runs that are complete, each with the number up to which its events must be sent."""
    async with acquire(pool) as connection:
        rows = await connection.fetch(_COMPLETE, list(run_ids), QUIET_SECONDS)
    return {row["id"]: row["last_seq"] for row in rows}
