"""Leases: for how long a claimed subtask is its worker's alone.

A worker extends its lease by heartbeats of its run, or directly. Once the lease has ended, the worker has
lost the subtask, whether or not someone else has it already: it can't complete it any more. What was
lost goes back to the queue with a delay that doubles each time, until `max_attempts` is reached.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from runcast.contract import TERMINAL_STATUSES
from runcast_api.board import cancelled_claims, subtasks
from runcast_api.board.board import RUNCAST, Board, Json, changing
from runcast_api.board.schemas import COLUMNS, as_json
from runcast_api.http.fields import Name
from runcast_api.runs import runs
from runcast_server import loops
from runcast_server.db import Pool, acquire
from runcast_server.errors import Conflict
from runcast_server.eventlog.log import EventLog, Transaction

DEFAULT_LEASE_SECONDS = 60.0
FIRST_DELAY_SECONDS = 1.0
MAX_DELAY_SECONDS = 300.0
BATCH = 500

LeaseSeconds = Annotated[float, Field(gt=0, le=7 * 86_400)]

_EXTEND = f"""
UPDATE tasks t SET lease_seconds = $3, lease_expires_at = clock_timestamp() + make_interval(secs => $3)
WHERE t.id = $1 AND t.worker_id = $2 AND t.status = 'IN_PROGRESS'
  AND (t.lease_expires_at IS NULL OR t.lease_expires_at > clock_timestamp())
RETURNING {COLUMNS}
"""
EXPIRED = """
SELECT project_id, id FROM tasks t WHERE lease_expires_at <= statement_timestamp()
  AND EXISTS (SELECT FROM project_counters c WHERE c.project_id = t.project_id)
"""
"""The subtasks whose lease has ended."""


class LeaseWanted(BaseModel):
    """Who holds the subtask, and for how long from now it wants to."""

    model_config = ConfigDict(extra="forbid")

    worker_id: Name
    lease_s: LeaseSeconds = DEFAULT_LEASE_SECONDS


def require_holder(
    subtask: Json, *, has_expired: bool, worker_id: str | None, run_id: UUID | None, is_person: bool
) -> None:
    """Raises `Conflict` unless the caller may move this subtask: under a lease only its holder may, and a
    person who doesn't speak for a worker."""
    if subtask["lease_expires_at"] is None or (is_person and worker_id is None):
        return
    if worker_id != subtask["worker_id"]:
        raise Conflict(f"the subtask is leased to the worker {subtask['worker_id']!r}")
    if run_id is not None and str(run_id) != subtask["run_id"]:
        raise Conflict("the subtask is leased for another run")
    if has_expired:
        raise Conflict(f"the lease ended at {subtask['lease_expires_at']}")


async def extend(transaction: Transaction, subtask_id: UUID, wanted: LeaseWanted) -> Json:
    """The subtask under its longer lease. Raises `Conflict` for anybody but the holder, and too late."""
    row = await transaction.connection.fetchrow(
        _EXTEND, subtask_id, wanted.worker_id, wanted.lease_s
    )
    if row is not None:
        return as_json(row)
    subtask = await subtasks.show(transaction.connection, subtask_id)
    if subtask["status"] != "IN_PROGRESS":
        raise Conflict(f"the subtask is {subtask['status']}; only IN_PROGRESS ones have a lease")
    if subtask["worker_id"] != wanted.worker_id:
        raise Conflict(f"the subtask is with the worker {subtask['worker_id']!r}")
    raise Conflict(f"the lease ended at {subtask['lease_expires_at']}")


def delay_seconds(attempt: int) -> float:
    """How long a subtask waits after this many lost attempts."""
    doubled: float = FIRST_DELAY_SECONDS * 2.0 ** min(attempt - 1, 30)
    return min(doubled, MAX_DELAY_SECONDS)


class Lost(BaseModel):
    """A lease that ended, and what became of its subtask."""

    subtask_id: UUID
    worker_id: str | None
    attempt: int
    will_retry: bool


async def give_back_expired(pool: Pool, eventlog: EventLog) -> list[Lost]:
    """Takes subtasks from workers whose lease has ended; answers which. May be done by several at once."""
    async with acquire(pool) as connection:
        rows = await connection.fetch(f"{EXPIRED} ORDER BY random() LIMIT $1", BATCH)
    by_project: dict[UUID, list[UUID]] = {}
    for row in rows:
        by_project.setdefault(row["project_id"], []).append(row["id"])
    lost: list[Lost] = []
    projects = loops.Items("leases.project")
    for project_id, ids in by_project.items():
        with projects.one(project=str(project_id)):
            lost += await eventlog.commit(project_id, _giving_back(project_id, sorted(ids)))
    return lost


def _giving_back(project_id: UUID, ids: list[UUID]) -> Any:
    async def change(transaction: Transaction) -> list[Lost]:
        async with changing(transaction, project_id, RUNCAST) as board:
            given_back = [await _give_back(board, subtask_id) for subtask_id in ids]
        return [lost for lost in given_back if lost is not None]

    return change


async def _give_back(board: Board, subtask_id: UUID) -> Lost | None:
    subtask, besides = await subtasks.lock(board, subtask_id)
    if not besides["has_expired"]:
        return None
    attempt = subtask["attempt"]
    will_retry = attempt < subtask["max_attempts"]
    reason = f"the lease of the worker {subtask['worker_id']!r} ended (attempt {attempt})"
    ended = await end_run(board, subtask, "failed", error=reason, will_retry=will_retry)
    if ended is not None and ended["status"] == "cancelled":
        await cancelled_claims.fail_on(board, subtask_id, UUID(ended["id"]))
        return None
    if will_retry:
        row = await board.connection.fetchrow(
            f"""UPDATE tasks t SET status = 'PENDING', attempt = attempt + 1, worker_id = NULL,
                    lease_expires_at = NULL, updated_at = clock_timestamp(),
                    queued_at = CASE WHEN $3 THEN clock_timestamp() + make_interval(secs => $2) END
                WHERE t.id = $1 RETURNING {COLUMNS}""",
            subtask_id,
            delay_seconds(attempt),
            besides["task_status"] == "ACTIVE",
        )
        moved = as_json(row)
    else:
        moved = await subtasks.store(
            board.connection,
            subtask["id"],
            {"status": "FAILED", "error": reason, "lease_expires_at": None},
        )
    board.subtask_moved(moved, subtask["status"], reason)
    return Lost(
        subtask_id=subtask_id,
        worker_id=subtask["worker_id"],
        attempt=attempt,
        will_retry=will_retry,
    )


async def end_run(board: Board, subtask: Json, status: str, **members: Any) -> Json | None:
    """Ends the run of a subtask's current attempt, unless it has ended, and answers it; None where it was
    never made."""
    if subtask["run_id"] is None:
        return None
    run = await runs.lock(board.transaction, UUID(subtask["run_id"]))
    if run["status"] in TERMINAL_STATUSES:
        return run
    given = {name: value for name, value in members.items() if value is not None}
    return await runs.change(board.transaction, run, given | {"status": status})
