"""Contents of deleted artifacts: noted in the transaction that deletes them, removed from the store after it.

Nothing is removed before the commit, so a deletion that is rolled back loses no content. What the store
doesn't remove at once, because it is away or the process ends, the sweeper removes later.
"""

from __future__ import annotations

from uuid import UUID

import structlog

from runcast_api.artifacts.store import ArtifactStore
from runcast_server import outages
from runcast_server.db import Connection, Pool, acquire
from runcast_server.errors import Unavailable

BATCH = 1000

_NOTE = """
INSERT INTO erased_objects (object_key, project_id)
SELECT key, $2 FROM unnest($1::text[]) AS key WHERE key IS NOT NULL ON CONFLICT DO NOTHING
"""
_NOTED = """
SELECT object_key FROM erased_objects WHERE $1::uuid IS NULL OR project_id = $1 ORDER BY random() LIMIT $2
"""
_REMOVED = "DELETE FROM erased_objects WHERE object_key = ANY($1::text[])"

log = structlog.get_logger()


async def note(connection: Connection, project_id: UUID, keys: list[str | None]) -> None:
    """Says that nothing names these objects any more. Those that are None aren't in the store."""
    if any(keys):
        await connection.execute(_NOTE, keys, project_id)


async def remove(pool: Pool, store: ArtifactStore, project_id: UUID | None = None) -> None:
    """Removes some of the noted objects, of one project or of all. One that can't be removed stays noted; a
    store that is away raises nothing."""
    async with acquire(pool) as connection:
        rows = await connection.fetch(_NOTED, project_id, BATCH)
    removed: list[str] = []
    for row in rows:
        try:
            await store.delete(row["object_key"])
        except Unavailable as away:
            log.warning("artifacts.not_removed", objects=len(rows) - len(removed), error=repr(away))
            break
        except Exception as error:  # One that can't be removed keeps no other one from it.
            log.error("artifacts.not_removed", key=row["object_key"], error=outages.named(error))
        else:
            removed.append(row["object_key"])
    if removed:
        async with acquire(pool) as connection:
            await connection.execute(_REMOVED, removed)
