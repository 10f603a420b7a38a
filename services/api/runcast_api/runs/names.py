"""Under which names a run is found besides its key: aliases, unique in the project together with its keys.

One session of an agent is reported by several programs, each of which knows it by a name of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from runcast.agents.identity import resumed_key
from runcast.contract import TERMINAL_STATUSES
from runcast_server.db import Connection
from runcast_server.errors import Conflict

_FIND = """
SELECT id FROM runs WHERE project_id = $1 AND key = $2
UNION ALL SELECT run_id FROM run_aliases WHERE project_id = $1 AND alias = $2 LIMIT 1
"""
_FIND_ALL = """
SELECT key AS name, id FROM runs WHERE project_id = $1 AND key = ANY($2::text[])
UNION ALL SELECT alias, run_id FROM run_aliases WHERE project_id = $1 AND alias = ANY($2::text[])
"""
_TAKEN = """
SELECT name, id FROM (
    SELECT key AS name, id FROM runs WHERE project_id = $1 AND key = ANY($2::text[])
    UNION ALL SELECT alias, run_id FROM run_aliases WHERE project_id = $1 AND alias = ANY($2::text[])) taken
WHERE id IS DISTINCT FROM $3 LIMIT 1
"""
_HOLDER = """
SELECT id, status FROM runs WHERE project_id = $1 AND key = $2
UNION ALL SELECT r.id, r.status FROM run_aliases a JOIN runs r ON r.id = a.run_id
WHERE a.project_id = $1 AND a.alias = $2 LIMIT 1
"""
MAX_RESUMED = 1000
"""How often a session may go on after a run of its own has ended."""
_FORGET = "DELETE FROM run_aliases WHERE run_id = $1 AND NOT alias = ANY($2::text[])"
_STORE = """
INSERT INTO run_aliases (project_id, alias, run_id)
SELECT $1, alias, $2 FROM unnest($3::text[]) AS new (alias)
WHERE NOT EXISTS (SELECT FROM run_aliases a WHERE a.run_id = $2 AND a.alias = new.alias)
"""


async def find(connection: Connection, project_id: UUID, name: str) -> UUID | None:
    """The run of the project with this key or alias."""
    found: UUID | None = await connection.fetchval(_FIND, project_id, name)
    return found


async def find_all(
    connection: Connection, project_id: UUID, wanted: Sequence[str]
) -> dict[str, UUID]:
    """The runs of the project with these keys or aliases, by them."""
    rows = await connection.fetch(_FIND_ALL, project_id, list(wanted)) if wanted else ()
    return {row["name"]: row["id"] for row in rows}


async def require_free(
    connection: Connection, project_id: UUID, aliases: Sequence[str], run_id: UUID | None
) -> None:
    """Raises `Conflict` where one of these names is another run's key or alias."""
    row = await connection.fetchrow(_TAKEN, project_id, list(aliases), run_id)
    if row is not None:
        raise Conflict(
            f"the alias {row['name']!r} is another run's name", extra={"run_id": str(row["id"])}
        )


async def of_sessions(
    connection: Connection, project_id: UUID, aliases: Sequence[str], run_id: UUID
) -> list[str]:
    """The aliases as a run may have them that goes on with a session: `<alias>.r2`, `.r3` … where the runs
    before it have ended. One whose run hasn't is left out: that run is the session's."""
    free = [await _next_free(connection, project_id, alias, run_id) for alias in aliases]
    return [alias for alias in free if alias is not None]


async def _next_free(
    connection: Connection, project_id: UUID, alias: str, run_id: UUID
) -> str | None:
    for number in range(1, MAX_RESUMED):
        name = alias if number == 1 else resumed_key(alias, number)
        holder = await connection.fetchrow(_HOLDER, project_id, name)
        if holder is None or holder["id"] == run_id:
            return name
        if holder["status"] not in TERMINAL_STATUSES:
            return None
    return None


async def store(
    connection: Connection, project_id: UUID, run_id: UUID, aliases: Sequence[str]
) -> None:
    """Makes these the run's aliases, and no others. The caller has asked `require_free`."""
    await connection.execute(_FORGET, run_id, list(aliases))
    await connection.execute(_STORE, project_id, run_id, list(aliases))
