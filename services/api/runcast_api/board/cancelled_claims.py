"""What becomes of a subtask whose run is cancelled while a worker holds it: it failed, and isn't handed out
again. Someone who wants it done all the same retries it."""

from __future__ import annotations

from uuid import UUID

from runcast_api.board.board import RUNCAST, Json, changing
from runcast_api.board.schemas import COLUMNS, as_json
from runcast_server.eventlog.log import Transaction

REASON = "cancelled"

_HELD = "SELECT true FROM tasks WHERE id = $1 AND run_id = $2 AND status = 'IN_PROGRESS'"
_FAIL = f"""
UPDATE tasks t SET status = 'FAILED', error = $3, queued_at = NULL, lease_expires_at = NULL,
    updated_at = clock_timestamp()
WHERE t.id = $1 AND t.run_id = $2 AND t.status = 'IN_PROGRESS' RETURNING {COLUMNS}
"""


async def fail_claim(transaction: Transaction, run: Json) -> None:
    """Fails the subtask that the cancelled run is the attempt of, if that attempt is still under way."""
    if run["task_id"] is None:
        return
    connection, project_id = transaction.connection, UUID(run["project_id"])
    place = (UUID(run["task_id"]), UUID(run["id"]))
    if not await connection.fetchval(_HELD, *place):
        return
    async with changing(transaction, project_id, RUNCAST) as board:
        row = await connection.fetchrow(_FAIL, *place, REASON)
        if row is not None:
            board.subtask_moved(as_json(row), "IN_PROGRESS", REASON)
