"""What becomes of a subtask whose run is cancelled while a worker holds it: it failed, and isn't handed out
again. Someone who wants it done all the same retries it.

Who changes a board locks it before any run, and a cancel has locked its run already. So the subtask fails in
the commit that follows the cancel's; where the process ended in between, the loop of the leases does it.
"""

from __future__ import annotations

from functools import partial
from uuid import UUID

from runcast_api.board.board import RUNCAST, Board, Json, changing
from runcast_api.board.schemas import COLUMNS, as_json
from runcast_server import loops
from runcast_server.db import Pool, acquire
from runcast_server.eventlog.log import EventLog, Transaction

REASON = "cancelled"
BATCH = 500

_HELD = "SELECT true FROM tasks WHERE id = $1 AND run_id = $2 AND status = 'IN_PROGRESS'"
_MISSED = """
SELECT t.project_id, t.id, t.run_id FROM tasks t JOIN runs r ON r.id = t.run_id
WHERE t.status = 'IN_PROGRESS' AND r.status = 'cancelled'
  AND EXISTS (SELECT FROM project_counters c WHERE c.project_id = t.project_id)
ORDER BY random() LIMIT $1
"""
_FAIL = f"""
UPDATE tasks t SET status = 'FAILED', error = $3, queued_at = NULL, lease_expires_at = NULL,
    updated_at = clock_timestamp()
WHERE t.id = $1 AND t.run_id = $2 AND t.status = 'IN_PROGRESS' RETURNING {COLUMNS}
"""


async def fail_claim(transaction: Transaction, run: Json) -> None:
    """Has the subtask fail that the cancelled run is the attempt of, if that attempt is still under way: in
    the commit that follows this one."""
    if run["task_id"] is None:
        return
    place = (UUID(run["task_id"]), UUID(run["id"]))
    if await transaction.connection.fetchval(_HELD, *place):
        project_id = UUID(run["project_id"])
        transaction.follow(project_id, partial(_fail, project_id, *place))


async def fail_missed(pool: Pool, eventlog: EventLog) -> None:
    """Has those fail whose runs were cancelled by a process that ended then. Several may do so at once."""
    async with acquire(pool) as connection:
        rows = await connection.fetch(_MISSED, BATCH)
    claims = loops.Items("cancelled_claims.claim")
    for project_id, subtask_id, run_id in rows:
        with claims.one(subtask=str(subtask_id)):
            await eventlog.commit(project_id, partial(_fail, project_id, subtask_id, run_id))


async def fail_on(board: Board, subtask_id: UUID, run_id: UUID) -> None:
    """The subtask has failed, if this attempt of it is still under way."""
    row = await board.connection.fetchrow(_FAIL, subtask_id, run_id, REASON)
    if row is not None:
        board.subtask_moved(as_json(row), "IN_PROGRESS", REASON)


async def _fail(project_id: UUID, subtask_id: UUID, run_id: UUID, transaction: Transaction) -> None:
    async with changing(transaction, project_id, RUNCAST) as board:
        await fail_on(board, subtask_id, run_id)
