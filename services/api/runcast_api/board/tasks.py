"""Tasks: what a planner breaks down into subtasks. A task is `DONE` by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from runcast._support.ids import uuid7
from runcast_api.board import subtasks, transitions
from runcast_api.board.board import Board, Json
from runcast_api.board.schemas import Position, Subtask, SubtaskNew
from runcast_api.board.subtask_cache import Rendered
from runcast_api.board.transitions import TASK_RULES, TaskMove, TaskStatus
from runcast_api.http import pagination
from runcast_api.http.fields import LongText, Name, Patch
from runcast_server.db import Connection
from runcast_server.errors import Conflict, NotFound
from runcast_server.runs import in_milliseconds

COLUMNS = (
    "t.id::text AS id, t.project_id::text AS project_id, t.title, t.description, t.kind, t.status, "
    "t.position, t.error, t.created_at, t.updated_at"
)

_INSERT = f"""
INSERT INTO tasks AS t (id, project_id, title, description, kind, status, position, created_by)
SELECT $1, $2, $3, $4, $5, 'PLANNING', coalesce($6, (
    SELECT floor(b.position) + 1 FROM tasks b WHERE b.project_id = $2 AND b.parent_id IS NULL
    ORDER BY b.position DESC, b.id DESC LIMIT 1), 1), $7
WHERE NOT EXISTS (SELECT FROM tombstones d WHERE d.id = $1)
ON CONFLICT DO NOTHING RETURNING {COLUMNS}
"""
_PAGE = f"""
SELECT {COLUMNS} FROM tasks t WHERE t.project_id = $1 AND t.parent_id IS NULL
    AND ($2::text[] IS NULL OR t.status = ANY($2))
    AND ($3::float8 IS NULL OR (t.position, t.id) > ($3, $4::uuid))
ORDER BY t.position, t.id LIMIT $5
"""
_TOTAL = """
SELECT count(*) FROM tasks t WHERE t.project_id = $1 AND t.parent_id IS NULL
    AND ($2::text[] IS NULL OR t.status = ANY($2))
"""


class TaskNew(BaseModel):
    """What a task is made of. Without a `position` it goes to the end of the board."""

    model_config = ConfigDict(extra="forbid")

    title: Name
    id: UUID | None = None
    description: LongText | None = None
    kind: Name | None = None
    position: Position | None = None
    subtasks: Annotated[list[SubtaskNew], Field(max_length=1000)] = []


class TaskPatch(Patch):
    """Changes to a task; what is absent stays."""

    NEVER_NULL = frozenset({"title", "position"})

    title: Name | None = None
    description: LongText | None = None
    kind: Name | None = None
    position: Position | None = None


class TaskMoved(BaseModel):
    """Why a task is moved."""

    model_config = ConfigDict(extra="forbid")

    reason: LongText | None = None


class Task(BaseModel):
    """A task with its subtasks, by position."""

    id: UUID
    project_id: UUID
    title: str
    description: str | None
    kind: str | None
    status: TaskStatus
    position: float
    error: str | None
    created_at: str
    updated_at: str
    subtasks: list[Subtask]


class TaskPage(BaseModel):
    tasks: list[Task]
    total: int
    next_cursor: str | None


def as_json(row: Mapping[str, Any]) -> Json:
    """The task object of a row with `COLUMNS`, without its subtasks."""
    shown = dict(row)
    shown["created_at"] = in_milliseconds(shown["created_at"])
    shown["updated_at"] = in_milliseconds(shown["updated_at"])
    return shown


async def create(board: Board, new: TaskNew, created_by: UUID | None) -> tuple[Json, bool]:
    """The task, planning, and whether it is new. One with this id in this project is answered as it is.

    Raises `Conflict` for an id that is or was taken elsewhere, and as `subtasks.add` does.
    """
    row = await board.connection.fetchrow(
        _INSERT,
        new.id or uuid7(),
        board.project_id,
        new.title,
        new.description,
        new.kind,
        new.position,
        created_by,
    )
    if row is None:
        return await _existing(board, new.id), False
    task = as_json(row)
    board.task_moved(task, None)
    made = await subtasks.add(board, task, new.subtasks, created_by)
    return task | {"subtasks": made}, True


async def _existing(board: Board, task_id: UUID | None) -> Json:
    project_id = await board.connection.fetchval(
        "SELECT project_id FROM tasks WHERE id = $1 AND parent_id IS NULL", task_id
    )
    if task_id is None or project_id != board.project_id:
        raise Conflict("this id is taken")
    return await show(board.connection, task_id)


async def show(connection: Connection, task_id: UUID, rendered: Rendered | None = None) -> Json:
    """The task with its subtasks; those as `rendered` where that may be used. Raises `NotFound`."""
    row = await connection.fetchrow(
        f"SELECT {COLUMNS} FROM tasks t WHERE t.id = $1 AND t.parent_id IS NULL", task_id
    )
    if row is None:
        raise NotFound(f"no task '{task_id}'")
    if rendered is not None:
        found = await rendered.of_tasks(connection, [row["id"]])
        return as_json(row) | {"subtasks": found[row["id"]]}
    return as_json(row) | {"subtasks": await subtasks.of_task(connection, task_id)}


async def page(
    connection: Connection,
    rendered: Rendered,
    project_id: UUID,
    statuses: Sequence[TaskStatus] | None,
    limit: int,
    cursor: str | None,
) -> Json:
    """The board's tasks with their subtasks, by position. Raises `Invalid` for a foreign cursor."""
    query = ("tasks", project_id, statuses)
    position, after = _place(cursor, query)
    rows = await connection.fetch(_PAGE, project_id, statuses, position, after, limit + 1)
    total = await connection.fetchval(_TOTAL, project_id, statuses)
    shown = [as_json(row) for row in rows[:limit]]
    found = await rendered.of_tasks(connection, [task["id"] for task in shown])
    last = shown[-1] if len(rows) > limit else None
    return {
        "tasks": [task | {"subtasks": found[task["id"]]} for task in shown],
        "total": total,
        "next_cursor": last and pagination.encode([last["position"], last["id"]], *query),
    }


def _place(cursor: str | None, query: tuple[Any, ...]) -> tuple[float | None, UUID | None]:
    if cursor is None:
        return None, None
    position, after = pagination.members(cursor, query, pagination.real, UUID)
    return position, after


async def lock(board: Board, task_id: UUID) -> Json:
    """The task, locked. Raises `NotFound`."""
    row = await board.connection.fetchrow(
        f"""SELECT {COLUMNS} FROM tasks t WHERE t.id = $1 AND t.project_id = $2
            AND t.parent_id IS NULL FOR NO KEY UPDATE""",
        task_id,
        board.project_id,
    )
    if row is None:
        raise NotFound(f"no task '{task_id}'")
    return as_json(row)


async def patch(board: Board, task_id: UUID, changes: TaskPatch) -> Json:
    """The task with the changes made. Raises `NotFound`."""
    task = await lock(board, task_id)
    given = {name: getattr(changes, name) for name in changes.model_fields_set}
    changed = {name: value for name, value in given.items() if value != task[name]}
    if changed:
        await _store(board.connection, task_id, changed)
        board.emit("task:updated", {"task_id": task["id"], "changed": changed})
    return await show(board.connection, task_id)


async def _store(connection: Connection, task_id: UUID, changes: Mapping[str, Any]) -> Json:
    assignments = "".join(f"{name} = ${place}, " for place, name in enumerate(changes, 2))
    row = await connection.fetchrow(
        f"""UPDATE tasks t SET {assignments} updated_at = clock_timestamp() WHERE t.id = $1
            RETURNING {COLUMNS}""",
        task_id,
        *changes.values(),
    )
    return as_json(row)


async def move(board: Board, task_id: UUID, move: TaskMove, reason: str | None) -> Json:
    """The task in another status. Raises `Conflict` where the move isn't legal."""
    task = await lock(board, task_id)
    rule = TASK_RULES[move]
    transitions.require("task", task["status"], move, rule)
    error = (reason or "planning failed") if rule.target == "PLANNING_FAILED" else None
    moved = await _store(board.connection, task_id, {"status": rule.target, "error": error})
    board.task_moved(moved, task["status"], reason)
    if rule.target == "ACTIVE":
        # One that was reopened waits for what is added to it: its subtasks are all done.
        await board.connection.execute(
            """UPDATE tasks SET queued_at = statement_timestamp()
               WHERE parent_id = $1 AND status = 'PENDING'""",
            task_id,
        )
        if move != "reopen":
            await finish_if_done(board, task_id)
    return await show(board.connection, task_id)


async def finish_if_done(board: Board, task_id: UUID, number: int = 0) -> None:
    """This many of the task's subtasks are open no longer: `DONE`, where it is active and has subtasks, none
    of them open."""
    row = await board.connection.fetchrow(
        f"""UPDATE tasks t SET open_subtasks = t.open_subtasks - $2,
                status = CASE WHEN is_done THEN 'DONE' ELSE t.status END,
                updated_at = CASE WHEN is_done THEN clock_timestamp() ELSE t.updated_at END
            FROM (SELECT status = 'ACTIVE' AND open_subtasks = $2
                     AND EXISTS (SELECT FROM tasks s WHERE s.parent_id = $1) AS is_done
                  FROM tasks WHERE id = $1) now
            WHERE t.id = $1 RETURNING {COLUMNS}, is_done""",
        task_id,
        number,
    )
    members = dict(row)
    if members.pop("is_done"):
        board.task_moved(as_json(members), "ACTIVE", "every subtask is done")
