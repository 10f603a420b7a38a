"""Which runs are whose: a combined stream names runs of several projects in one list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from runcast_hub.filters import Filter
from runcast_server.db import Pool, acquire

_HOMES = (
    "SELECT id, project_id FROM runs WHERE id = ANY($1::uuid[]) AND project_id = ANY($2::uuid[])"
)


async def homes(
    pool: Pool, run_ids: Sequence[UUID], project_ids: Sequence[UUID]
) -> dict[UUID, UUID]:
    """Which of the projects each of the runs belongs to; what is in none of them is left out."""
    if not run_ids or not project_ids:
        return {}
    async with acquire(pool) as connection:
        rows = await connection.fetch(_HOMES, list(run_ids), list(project_ids))
    return {row["id"]: row["project_id"] for row in rows}


async def narrow(pool: Pool, wanted: Filter, project_ids: Sequence[UUID]) -> dict[UUID, Filter]:
    """The filter of each project: the runs that are in it, and those that are in none of them yet."""
    if not wanted.runs:
        return dict.fromkeys(project_ids, wanted)
    found = await homes(pool, wanted.run_ids, project_ids)
    foreign = {
        project_id: {run.bytes for run, home in found.items() if home != project_id}
        for project_id in project_ids
    }
    return {
        project_id: replace(wanted, runs=wanted.runs - others)
        for project_id, others in foreign.items()
    }
