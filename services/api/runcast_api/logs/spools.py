"""Which spool a run is fed from.

A spool is known by the id of its first message. Anyone who feeds one names it before the first lines; from
then on the run's cursor belongs to that spool, and another one of the same run is refused: entered at the
cursor, it would begin in the middle of a line, and lose what it holds before it.
"""

from uuid import UUID

from runcast_api.logs.sources import SourceKey
from runcast_server.db import Connection
from runcast_server.errors import Conflict

_CLAIM = """
INSERT INTO log_sources AS s (run_id, source, project_id, spool) VALUES ($1, $2, $3, $4)
ON CONFLICT (run_id, source) DO UPDATE
SET spool = CASE WHEN s.next_offset = 0 THEN coalesce(s.spool, excluded.spool) ELSE s.spool END
RETURNING s.spool
"""
"""Where lines came before anybody named a spool, it isn't known whose they are, and all may go on."""


async def claim(connection: Connection, key: SourceKey, project_id: UUID, spool: str) -> None:
    """Has the source belong to this spool if it belongs to none. Raises `Conflict` if it is another's."""
    owner = await connection.fetchval(_CLAIM, *key, project_id, spool)
    if owner not in (None, spool):
        raise Conflict(
            f"the run is fed from another {key.source} (spool {owner}); this one is {spool}"
        )
