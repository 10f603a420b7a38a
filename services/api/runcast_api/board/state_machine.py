"""Moving subtasks: what each move changes besides the status, and what follows from it."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from runcast_api.board import dependencies, leases, subtasks, tasks, transitions
from runcast_api.board.board import Board, Json
from runcast_api.board.transitions import DONE, SUBTASK_RULES, SubtaskMove
from runcast_api.http.fields import LongText, Name
from runcast_server.errors import Conflict, Invalid


class SubtaskMoved(BaseModel):
    """Who moves a subtask, why, and what came of it."""

    model_config = ConfigDict(extra="forbid")

    worker_id: Name | None = None
    reason: LongText | None = None
    run_id: UUID | None = None
    pr_url: Annotated[LongText, Field(max_length=2000)] | None = None


class RunEnd(NamedTuple):
    """How the run of the current attempt ends with a move."""

    status: str
    has_failed: bool = False


_RUN_ENDS: dict[SubtaskMove, RunEnd] = {
    "review": RunEnd("completed"),
    "complete": RunEnd("completed"),
    "fail": RunEnd("failed", has_failed=True),
    "skip": RunEnd("cancelled"),
}


async def move(
    board: Board, subtask_id: UUID, move: SubtaskMove, given: SubtaskMoved, *, is_person: bool
) -> Json:
    """The subtask in another status.

    Raises `Conflict` where the move isn't legal or another worker holds the lease, `Invalid` for a run
    that isn't in this project.
    """
    subtask, besides = await subtasks.lock(board, subtask_id)
    leases.require_holder(
        subtask,
        has_expired=bool(besides["has_expired"]),
        worker_id=given.worker_id,
        run_id=given.run_id,
        is_person=is_person,
    )
    rule = SUBTASK_RULES[move]
    transitions.require("subtask", subtask["status"], move, rule)
    if move == "start" and besides["task_status"] != "ACTIVE":
        raise Conflict(f"the task is {besides['task_status']}; work begins when it is ACTIVE")
    await _refuse_foreign_run(board, given.run_id)
    changes = _changes(move, subtask, besides, given) | {"status": rule.target}
    if move == "retry" and besides["waits_for"] > 0:
        changes["status"] = "BLOCKED"
    moved = await subtasks.store(board.connection, subtask["id"], changes)
    if move == "retry" and moved["status"] == "PENDING" and besides["task_status"] == "ACTIVE":
        await _queue(board, subtask_id)
    board.subtask_moved(moved, subtask["status"], given.reason)
    await _end_run(board, move, moved, given)
    await _follow(board, subtask, moved)
    return moved


async def _queue(board: Board, subtask_id: UUID) -> None:
    await board.connection.execute(
        "UPDATE tasks SET queued_at = statement_timestamp() WHERE id = $1", subtask_id
    )


def _changes(
    move: SubtaskMove, subtask: Json, besides: Json, given: SubtaskMoved
) -> dict[str, Any]:
    """The columns that a move changes, without the status."""
    changes: dict[str, Any] = {"queued_at": None, "lease_expires_at": None}
    if given.pr_url is not None:
        changes["pr_url"] = given.pr_url
    if given.run_id is not None:
        changes["run_id"] = given.run_id
    match move:
        case "start":
            changes |= {"worker_id": given.worker_id, "error": None}
        case "fail":
            changes["error"] = given.reason or "failed, without a reason given"
        case "skip":
            changes["skip_reason"] = given.reason
        case "retry":
            changes |= {"worker_id": None, "error": None, "attempt": subtask["attempt"] + 1}
    return changes


async def _refuse_foreign_run(board: Board, run_id: UUID | None) -> None:
    if run_id is not None and not await board.connection.fetchval(
        "SELECT true FROM runs WHERE id = $1 AND project_id = $2", run_id, board.project_id
    ):
        raise Invalid.of("body.run_id", f"no run '{run_id}' in this project")


async def _end_run(board: Board, move: SubtaskMove, moved: Json, given: SubtaskMoved) -> None:
    end = _RUN_ENDS.get(move)
    if end is None:
        return
    members: dict[str, Any] = {"pr_url": given.pr_url}
    if end.has_failed:
        members |= {"error": moved["error"], "will_retry": False}
    await leases.end_run(board, moved, end.status, **members)


async def _follow(board: Board, old: Json, moved: Json) -> None:
    """What happens by itself when a subtask is done: dependents are unblocked, the task is done."""
    if moved["status"] in DONE and old["status"] not in DONE:
        reason = f"{moved['title']!r} is {moved['status']}"
        await dependencies.release(board, [UUID(moved["id"])], reason)
        await tasks.finish_if_done(board, UUID(moved["task_id"]), 1)
