"""Subtasks: what workers claim. Making, showing and changing them; moving them is in `moves`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from runcast._support.ids import uuid7
from runcast_api.board import dependencies
from runcast_api.board.board import Board, Json
from runcast_api.board.schemas import COLUMNS, SubtaskNew, SubtaskPatch, as_json
from runcast_server.db import Connection
from runcast_server.errors import Conflict, Invalid, NotFound

_INSERT = f"""
INSERT INTO tasks AS t (id, project_id, parent_id, key, title, description, input, status, position,
                        priority, depends_on, waits_for, queued_at, max_attempts, created_by)
SELECT n.id, $1, $2, n.key, n.title, n.description, n.input::json, n.status, $3::float8 + n.place,
       n.priority, n.depends_on::text[], n.waits_for,
       CASE WHEN $4 AND n.status = 'PENDING' THEN statement_timestamp() END, n.max_attempts, $5
FROM unnest($6::uuid[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::integer[],
            $13::text[], $14::integer[], $15::integer[])
    WITH ORDINALITY AS n (id, key, title, description, input, status, priority, depends_on, waits_for,
                          max_attempts, place)
WHERE NOT EXISTS (SELECT FROM tombstones d WHERE d.id = n.id)
ON CONFLICT (id) DO NOTHING RETURNING {COLUMNS}
"""
_LOCK = f"""
SELECT {COLUMNS}, t.waits_for, t.lease_seconds, p.status AS task_status,
       t.lease_expires_at <= clock_timestamp() AS has_expired
FROM tasks t JOIN tasks p ON p.id = t.parent_id
WHERE t.id = $1 AND t.project_id = $2 FOR NO KEY UPDATE OF t
"""
_BESIDES = ("waits_for", "lease_seconds", "task_status", "has_expired")


async def show(connection: Connection, subtask_id: UUID) -> Json:
    """The subtask as it is. Raises `NotFound`."""
    row = await connection.fetchrow(
        f"SELECT {COLUMNS} FROM tasks t WHERE t.id = $1 AND t.parent_id IS NOT NULL", subtask_id
    )
    if row is None:
        raise NotFound(f"no subtask '{subtask_id}'")
    return as_json(row)


async def of_task(connection: Connection, task_id: UUID) -> list[Json]:
    """The subtasks of a task, by position."""
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM tasks t WHERE t.parent_id = $1 ORDER BY t.position, t.id", task_id
    )
    return [as_json(row) for row in rows]


async def lock(board: Board, subtask_id: UUID) -> tuple[Json, Json]:
    """The subtask, locked, and beside it: `waits_for`, `lease_seconds`, `task_status`, `has_expired`."""
    row = await board.connection.fetchrow(_LOCK, subtask_id, board.project_id)
    if row is None:
        raise NotFound(f"no subtask '{subtask_id}'")
    members = dict(row)
    besides = {name: members.pop(name) for name in _BESIDES}
    return as_json(members), besides


async def store(connection: Connection, subtask_id: str, changes: Mapping[str, Any]) -> Json:
    """Writes columns of a locked subtask; answers it as it then is."""
    assignments = "".join(f"{name} = ${place}, " for place, name in enumerate(changes, 2))
    row = await connection.fetchrow(
        f"""UPDATE tasks t SET {assignments} updated_at = clock_timestamp() WHERE t.id = $1
            RETURNING {COLUMNS}""",
        UUID(subtask_id),
        *changes.values(),
    )
    return as_json(row)


async def add(
    board: Board, task: Json, new: Sequence[SubtaskNew], created_by: UUID | None
) -> list[Json]:
    """The new subtasks of a locked task, in the order given.

    Raises `Conflict` for a task that takes none any more and for ids and keys that are taken; `Invalid`
    for dependencies that aren't in this project or go in a circle.
    """
    if task["status"] not in ("PLANNING", "ACTIVE"):
        raise Conflict(f"the task is {task['status']}; only PLANNING and ACTIVE ones take subtasks")
    if not new:
        return []
    ids = [each.id or uuid7() for each in new]
    await _refuse_taken_keys(board.connection, task["id"], new)
    needs = await dependencies.resolve(board, UUID(task["id"]), new, ids)
    rows = await _insert(board, task, new, ids, needs, created_by)
    if len(rows) < len(new):
        raise Conflict("an id of these subtasks is taken")
    await dependencies.insert(board, needs)
    await board.connection.execute(
        "UPDATE tasks SET open_subtasks = open_subtasks + $2 WHERE id = $1",
        UUID(task["id"]),
        len(new),
    )
    made = sorted((as_json(row) for row in rows), key=lambda subtask: subtask["position"])
    for subtask in made:
        board.subtask_moved(subtask, None)
    return made


async def _refuse_taken_keys(
    connection: Connection, task_id: str, new: Sequence[SubtaskNew]
) -> None:
    keys = [each.key for each in new if each.key is not None]
    if len(set(keys)) < len(keys):
        raise Invalid.of("body.subtasks", "a key is given twice")
    taken = keys and await connection.fetchval(
        "SELECT key FROM tasks WHERE parent_id = $1 AND key = ANY($2)", UUID(task_id), keys
    )
    if taken:
        raise Conflict(f"the key {taken!r} is taken in this task")


async def _insert(
    board: Board,
    task: Json,
    new: Sequence[SubtaskNew],
    ids: Sequence[UUID],
    needs: Mapping[UUID, dependencies.Needs],
    created_by: UUID | None,
) -> Sequence[Any]:
    last = await board.connection.fetchval(
        """SELECT position FROM tasks WHERE parent_id = $1
           ORDER BY position DESC, id DESC LIMIT 1""",
        UUID(task["id"]),
    )
    waits = [needs[id].open for id in ids]
    rows: Sequence[Any] = await board.connection.fetch(
        _INSERT,
        board.project_id,
        UUID(task["id"]),
        last or 0.0,
        task["status"] == "ACTIVE",
        created_by,
        ids,
        [each.key for each in new],
        [each.title for each in new],
        [each.description for each in new],
        [None if each.input is None else orjson.dumps(each.input).decode() for each in new],
        ["BLOCKED" if number else "PENDING" for number in waits],
        [each.priority for each in new],
        [_array(needs[id].ids) for id in ids],
        waits,
        [each.max_attempts for each in new],
    )
    return rows


def _array(ids: Sequence[UUID]) -> str:
    """An array as Postgres writes it: arrays of unequal length can't go into one parameter."""
    return f"{{{','.join(str(id) for id in ids)}}}"


async def patch(board: Board, subtask_id: UUID, changes: SubtaskPatch) -> Json:
    """The subtask with the changes made. Raises `Invalid` for
    dependencies that can't be, `Conflict` for new dependencies of a subtask that was begun."""
    subtask, besides = await lock(board, subtask_id)
    given = {name: getattr(changes, name) for name in changes.model_fields_set}
    depends_on = given.pop("depends_on", None)
    changed = {name: value for name, value in given.items() if value != subtask[name]}
    shown = await store(board.connection, subtask["id"], changed) if changed else subtask
    if depends_on is not None and [str(each) for each in depends_on] != subtask["depends_on"]:
        await dependencies.replace(board, subtask, depends_on)
        shown = await _settle(board, subtask, besides["task_status"], depends_on)
        changed["depends_on"] = shown["depends_on"]
    if changed:
        told = {"subtask_id": shown["id"], "task_id": shown["task_id"]}
        board.emit("subtask:updated", told | {"changed": changed})
    if shown["status"] != subtask["status"]:
        board.subtask_moved(shown, subtask["status"], "its dependencies were changed")
    return shown


async def _settle(
    board: Board, subtask: Json, task_status: str, depends_on: Sequence[UUID]
) -> Json:
    """Blocked or pending, as its new dependencies say."""
    open_ones = await dependencies.number_open(board.connection, depends_on)
    status = "BLOCKED" if open_ones else "PENDING"
    row = await board.connection.fetchrow(
        f"""UPDATE tasks t SET depends_on = $2, waits_for = $3, status = $4,
                queued_at = CASE WHEN $4 = 'PENDING' AND $5
                    THEN coalesce(t.queued_at, clock_timestamp()) END,
                updated_at = clock_timestamp()
            WHERE t.id = $1 RETURNING {COLUMNS}""",
        UUID(subtask["id"]),
        [str(each) for each in depends_on],
        open_ones,
        status,
        task_status == "ACTIVE",
    )
    return as_json(row)


async def existing(connection: Connection, subtask_id: UUID | None, task_id: UUID) -> Json | None:
    """The subtask that has this id already, if it belongs to this task. Raises `Conflict` elsewhere."""
    if subtask_id is None:
        return None
    parent_id = await connection.fetchrow(
        "SELECT parent_id FROM tasks WHERE id = $1 FOR SHARE", subtask_id
    )
    if parent_id is None:
        return None
    if parent_id["parent_id"] != task_id:
        raise Conflict("this id is taken")
    return await show(connection, subtask_id)
