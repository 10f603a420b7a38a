"""Deleting tasks and subtasks, and saying what else goes."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from pydantic import BaseModel

from runcast_api.board import dependencies, leases, subtasks, tasks
from runcast_api.board.board import Board, Json
from runcast_api.board.schemas import IS_DONE
from runcast_api.board.transitions import DONE
from runcast_server.db import Connection

_EXPLAIN = f"""
SELECT
    (SELECT count(*) FROM task_dependencies WHERE subtask_id = ANY($1) OR depends_on_id = ANY($1))
        AS dependencies,
    (SELECT count(*) FROM task_transitions WHERE task_id = $2 AND $3)
        AS transitions,
    (SELECT coalesce(array_agg(id::text ORDER BY id), '{{}}') FROM runs
     WHERE task_id = ANY($1) OR ($3 AND task_id = $2)) AS runs_kept,
    (SELECT coalesce(array_agg(r.id::text ORDER BY r.id), '{{}}') FROM tasks t JOIN runs r ON r.id = t.run_id
     WHERE t.id = ANY($1) AND t.status = 'IN_PROGRESS'
       AND r.status IN ('queued', 'running', 'awaiting_feedback')) AS runs_cancelled,
    (SELECT coalesce(array_agg(t.id::text ORDER BY t.id), '{{}}') FROM tasks t
     JOIN (SELECT d.subtask_id, count(*) AS number FROM task_dependencies d
           JOIN tasks o ON o.id = d.depends_on_id AND NOT (o.{IS_DONE})
           WHERE d.depends_on_id = ANY($1) AND d.subtask_id <> ALL($1) GROUP BY d.subtask_id) freed
         ON freed.subtask_id = t.id AND freed.number = t.waits_for
     WHERE t.status = 'BLOCKED') AS unblocked
"""
_FORGET = """
UPDATE tasks SET updated_at = clock_timestamp(), depends_on = ARRAY(
    SELECT id FROM unnest(depends_on) WITH ORDINALITY AS d (id, place)
    WHERE id <> ALL($1::uuid[]::text[]) ORDER BY place)
WHERE id IN (SELECT subtask_id FROM task_dependencies
             WHERE depends_on_id = ANY($1::uuid[]) AND subtask_id <> ALL($1::uuid[]))
RETURNING id::text AS id, parent_id::text AS task_id, depends_on
"""


class Deleted(BaseModel):
    """What goes, or would go: subtasks, dependencies, history; and what stays, but changes.

    Runs stay with their logs. Those of attempts under way are cancelled, so that their workers learn it.
    """

    task_id: UUID
    subtasks: list[UUID]
    dependencies: int
    transitions: int
    runs_kept: list[UUID]
    runs_cancelled: list[UUID]
    unblocked: list[UUID]
    deleted: bool


async def explain_task(connection: Connection, task_id: UUID) -> Json:
    """What deleting a task would take along. Raises `NotFound`."""
    task = await tasks.show(connection, task_id)
    ids = [UUID(subtask["id"]) for subtask in task["subtasks"]]
    return await _explain(connection, task_id, ids, is_whole=True)


async def explain_subtask(connection: Connection, subtask_id: UUID) -> Json:
    """What deleting a subtask would take along. Raises `NotFound`."""
    subtask = await subtasks.show(connection, subtask_id)
    return await _explain(connection, UUID(subtask["task_id"]), [subtask_id], is_whole=False)


async def _explain(
    connection: Connection, task_id: UUID, ids: Sequence[UUID], *, is_whole: bool
) -> Json:
    row = await connection.fetchrow(_EXPLAIN, ids, task_id, is_whole)
    told = {"task_id": str(task_id), "subtasks": [str(id) for id in ids], **dict(row)}
    return told | {"deleted": False}


async def delete_task(board: Board, task_id: UUID) -> Json:
    """Deletes a task with its subtasks; answers what went. Raises `NotFound`."""
    await tasks.lock(board, task_id)
    told = await explain_task(board.connection, task_id)
    ids = [UUID(id) for id in told["subtasks"]]
    await _detach(board, ids)
    await _remove(board, [*ids, task_id])
    board.emit("task:deleted", {"task_id": told["task_id"], "subtask_ids": told["subtasks"]})
    return told | {"deleted": True}


async def delete_subtask(board: Board, subtask_id: UUID) -> Json:
    """Deletes a subtask; answers what went with it. Raises `NotFound`."""
    subtask, _ = await subtasks.lock(board, subtask_id)
    told = await explain_subtask(board.connection, subtask_id)
    await _detach(board, [subtask_id])
    await _remove(board, [subtask_id])
    board.emit("subtask:deleted", {"subtask_id": subtask["id"], "task_id": subtask["task_id"]})
    is_open = subtask["status"] not in DONE
    await tasks.finish_if_done(board, UUID(subtask["task_id"]), int(is_open))
    return told | {"deleted": True}


async def _detach(board: Board, ids: Sequence[UUID]) -> None:
    """Cancels the runs of attempts under way, and lets the dependents go."""
    at_work = await board.connection.fetch(
        f"""SELECT id, run_id::text AS run_id, {IS_DONE} AS is_done, status FROM tasks
            WHERE id = ANY($1::uuid[])""",
        ids,
    )
    for row in at_work:
        if row["status"] == "IN_PROGRESS":
            await leases.end_run(board, dict(row), "cancelled")
    for row in await board.connection.fetch(_FORGET, ids):
        changed = {"changed": {"depends_on": row["depends_on"]}}
        board.emit(
            "subtask:updated", {"subtask_id": row["id"], "task_id": row["task_id"]} | changed
        )
    open_ones = [row["id"] for row in at_work if not row["is_done"]]
    await dependencies.release(board, open_ones, "what it waited for was deleted")


async def _remove(board: Board, ids: Sequence[UUID]) -> None:
    await board.connection.execute(
        """INSERT INTO tombstones SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING""", ids
    )
    await board.connection.execute("DELETE FROM tasks WHERE id = ANY($1::uuid[])", ids)
