"""Claims: the next pending subtask for a worker, with a run and a lease.

Claims of one project that come at the same time share a transaction (`EventLog.commit_many`): one statement
picks as many subtasks as there are workers, by priority, then by how long they have waited, then by
position. `FOR UPDATE SKIP LOCKED` passes by what another transaction is changing. So a thousand claims a
second cost some twenty commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from runcast._support.ids import uuid7
from runcast_api.board import schemas as subtask_object
from runcast_api.board.board import RUNCAST, Json, changing
from runcast_api.board.fair_order import Queue, Turns
from runcast_api.board.leases import DEFAULT_LEASE_SECONDS, LeaseSeconds
from runcast_api.board.schemas import Subtask
from runcast_api.http import idempotency_bulk
from runcast_api.http.fields import Name
from runcast_api.http.idempotency import Once
from runcast_api.http.responses import Answer
from runcast_api.runs.schemas import Run
from runcast_server import runs
from runcast_server.db import Connection
from runcast_server.errors import Problem
from runcast_server.eventlog import frames
from runcast_server.eventlog.log import EventLog, Transaction

_NEXT = """
SELECT id, run_id FROM tasks
WHERE project_id = $1 AND queued_at IS NOT NULL AND queued_at <= statement_timestamp()
ORDER BY priority DESC, queued_at, position, id LIMIT $2 FOR UPDATE SKIP LOCKED
"""
_TAKE = f"""
UPDATE tasks t SET status = 'IN_PROGRESS', queued_at = NULL, worker_id = n.worker_id, run_id = n.run_id,
    claimed_at = clock_timestamp(), lease_seconds = n.lease_seconds, error = NULL,
    lease_expires_at = clock_timestamp() + make_interval(secs => n.lease_seconds),
    updated_at = clock_timestamp()
FROM unnest($1::uuid[], $2::text[], $3::float8[], $4::uuid[])
    AS n (id, worker_id, lease_seconds, run_id)
WHERE t.id = n.id RETURNING {subtask_object.COLUMNS}
"""
_RUNS = f"""
INSERT INTO runs (id, project_id, name, phase, steps, status, agent_type, agent_name, task_id, attempt,
                  retry_of, input, is_watched, created_at, heard_at, started_at, updated_at,
                  directory_speaks)
SELECT n.run_id, t.project_id, t.title, coalesce(p.kind, 'work'), '{{}}', 'running', 'WORKER',
       t.worker_id, t.id, t.attempt, n.retry_of, t.input, true, n.now, n.now, n.now, n.now, false
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS x (id, run_id, retry_of),
     LATERAL (SELECT x.id, x.run_id, x.retry_of, date_trunc('milliseconds', clock_timestamp()) AS now) n
JOIN tasks t ON t.id = n.id JOIN tasks p ON p.id = t.parent_id
RETURNING {runs.COLUMNS}
"""


class ClaimWanted(BaseModel):
    """Which worker asks, and for how long it wants to hold what it gets before it is heard of again."""

    model_config = ConfigDict(extra="forbid")

    worker_id: Name
    lease_s: LeaseSeconds = DEFAULT_LEASE_SECONDS


class Claimed(BaseModel):
    """A subtask that is the worker's until its lease ends, and the run of this attempt."""

    subtask: Subtask
    run: Run


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's request, by whom and with which idempotency key."""

    project_id: UUID
    wanted: ClaimWanted
    once: Once


class Given(NamedTuple):
    """A claim's answer. Whether it is a repeated one; how many of the transaction's events came up to
    its own."""

    answer: Answer
    is_repeat: bool
    transaction: Transaction
    offset: int

    @property
    def head(self) -> int | None:
        """The number of its own last event."""
        if self.is_repeat or self.answer.status != 200:
            return None
        [committed] = self.transaction.committed
        return committed.chain.first - 1 + self.offset


class Picked(NamedTuple):
    """A subtask from the queue, and the run of its last attempt."""

    id: UUID
    last_run_id: UUID | None


NOTHING = Answer(None, 204)


async def claim(eventlog: EventLog, claim: Claim) -> Given:
    """The next subtask of the project with 200, or 204. Shares its transaction with other claims."""
    return await eventlog.commit_many(claim.project_id, claim_all, claim)


async def claim_all(transaction: Transaction, claims: Sequence[Claim]) -> Sequence[Given | Problem]:
    """Every claim's answer, in their order; there may be fewer subtasks than claims."""
    project_id = claims[0].project_id
    async with changing(transaction, project_id, RUNCAST) as board:
        repeated = await idempotency_bulk.begin(board.connection, [each.once for each in claims])
        fresh = repeated.fresh(len(claims))
        rows = await board.connection.fetch(_NEXT, project_id, len(fresh))
        picked = [Picked(*row) for row in rows]
        taken = await _take(board.connection, picked, [claims[place] for place in fresh])
        given: dict[int, Given | Problem] = {
            place: answer if isinstance(answer, Problem) else Given(answer, True, transaction, 0)
            for place, answer in repeated.known.items()
        }
        for place, (subtask, run) in zip(fresh, taken, strict=False):
            board.subtask_moved(subtask, "PENDING", actor=claims[place].once.principal)
            _tell_run(transaction, project_id, run)
            answer = Answer({"subtask": subtask, "run": run})
            given[place] = Given(answer, False, transaction, transaction.emitted(project_id))
        nothing = Given(NOTHING, False, transaction, 0)
        given |= dict.fromkeys(fresh[len(taken) :], nothing)
        given |= {place: given[first] for place, first in repeated.same.items()}
        await idempotency_bulk.end(
            board.connection, [(claims[place].once, _kept(given[place])) for place in fresh]
        )
    return [given[place] for place in range(len(claims))]


def _kept(given: Given | Problem) -> Answer | None:
    """What is kept under an idempotency key: nothing where nothing was given."""
    return None if isinstance(given, Problem) or given.answer is NOTHING else given.answer


async def _take(
    connection: Connection, picked: Sequence[Picked], claims: Sequence[Claim]
) -> list[tuple[Json, Json]]:
    """Gives subtasks to the first of the claims, with a new run each."""
    if not picked:
        return []
    ids = [each.id for each in picked]
    run_ids = [uuid7() for _ in picked]
    wanted = [claim.wanted for claim in claims[: len(picked)]]
    rows = await connection.fetch(
        _TAKE,
        ids,
        [each.worker_id for each in wanted],
        [each.lease_s for each in wanted],
        run_ids,
    )
    subtasks = {row["id"]: subtask_object.as_json(row) for row in rows}
    rows = await connection.fetch(_RUNS, ids, run_ids, [each.last_run_id for each in picked])
    made = {row["id"]: runs.as_json(row) for row in rows}
    return [(subtasks[str(id)], made[run_id]) for id, run_id in zip(ids, run_ids, strict=True)]


def _tell_run(transaction: Transaction, project_id: UUID, run: Json) -> None:
    """The events of a run that starts as it is made (`runs.create` tells the same of one)."""
    ids = {"run_id": UUID(run["id"])}
    about = runs.work_ids(run)
    transaction.emit(
        project_id,
        frames.event("run:created", about | {"run": run, "at": run["created_at"]}, **ids),
        frames.event("agent:started", about | {"run": run}, **ids),
    )


async def claim_fairly(
    eventlog: EventLog, turns: Turns, queues: Sequence[Queue], wanted: ClaimWanted, once: Once
) -> Given | None:
    """The next subtask of the project whose turn it is; None where there is none to ask."""
    given = None
    for project_id in turns.in_order(queues):
        with turns.taken(project_id) as withdraw:
            given = await claim(eventlog, Claim(project_id, wanted, once))
            if given.answer is not NOTHING:
                return given
            withdraw()
    return given
