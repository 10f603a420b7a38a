"""Runs that were started by runs: a tree, since a run has one parent and no run is its own ancestor."""

from __future__ import annotations

from uuid import UUID

from runcast_server.db import Connection
from runcast_server.errors import Invalid

MAX_DEPTH = 64
"""Generations that are followed; a tree of agents is a few deep."""

_ANCESTORS = """
WITH RECURSIVE ancestors (id, parent_run_id, depth) AS (
    SELECT id, parent_run_id, 1 FROM runs WHERE id = $2 AND project_id = $1
    UNION ALL
    SELECT r.id, r.parent_run_id, a.depth + 1
    FROM ancestors a JOIN runs r ON r.id = a.parent_run_id WHERE a.depth <= $3
)
SELECT id FROM ancestors ORDER BY depth
"""


async def require_parent(
    connection: Connection, project_id: UUID, parent: UUID, child: UUID | None
) -> None:
    """Raises `Invalid` unless this run of the project may be the parent of `child` (None: a new run)."""
    rows = await connection.fetch(_ANCESTORS, project_id, parent, MAX_DEPTH)
    ancestors = [row["id"] for row in rows]
    if not ancestors:
        raise Invalid.of("body.parent_run_id", f"no run '{parent}' in this project")
    if child in ancestors:
        raise Invalid.of("body.parent_run_id", "a run can't be its own ancestor")
    if len(ancestors) >= MAX_DEPTH:
        raise Invalid.of("body.parent_run_id", f"more than {MAX_DEPTH} generations")
