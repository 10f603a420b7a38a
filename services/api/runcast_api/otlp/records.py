"""Which records and spans were taken before: each counts once within a day, however often it is sent."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from runcast_server.db import Connection, Pool, acquire

KEPT_HOURS = 24
TRACES_DAYS = 7
PRUNED_AT_ONCE = 20_000

_CLAIM = """
INSERT INTO otlp_records (project_id, id) SELECT $1, unnest($2::uuid[])
ON CONFLICT DO NOTHING RETURNING id
"""
_PRUNE = """
DELETE FROM otlp_records WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM otlp_records WHERE seen_at < now() - make_interval(hours => $1) LIMIT $2))
"""
_PRUNE_TRACES = "DELETE FROM otlp_traces WHERE heard_at < now() - make_interval(days => $1)"


async def claim(connection: Connection, project_id: UUID, ids: Iterable[UUID]) -> set[UUID]:
    """Those that weren't taken yet; they are now, if the transaction commits."""
    # In order, so that two requests with the same records wait for each other and don't lock each other out.
    rows = await connection.fetch(_CLAIM, project_id, sorted(ids))
    return {row["id"] for row in rows}


async def prune(pool: Pool) -> None:
    """Forgets what is older than a day, and traces of which nothing came for a week."""
    gone = PRUNED_AT_ONCE
    while gone == PRUNED_AT_ONCE:
        async with acquire(pool) as connection:
            done = await connection.execute(_PRUNE, KEPT_HOURS, PRUNED_AT_ONCE)
        gone = int(done.rpartition(" ")[2])
    async with acquire(pool) as connection:
        await connection.execute(_PRUNE_TRACES, TRACES_DAYS)
