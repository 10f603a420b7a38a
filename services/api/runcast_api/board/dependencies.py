"""What a subtask waits for: a graph without circles, over all tasks of a project.

Each subtask counts those of its dependencies that aren't done (`waits_for`). The change that finishes one
takes one from the count of every dependent; the one that reaches zero becomes `PENDING` in that
transaction."""

from __future__ import annotations

import graphlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from runcast_api.board.board import Board
from runcast_api.board.schemas import COLUMNS, IS_DONE, as_json
from runcast_server.auth.access import as_uuid
from runcast_server.db import Connection
from runcast_server.errors import Invalid

_REACHES = """
WITH RECURSIVE above AS (
    SELECT unnest($1::uuid[]) AS id
    UNION
    SELECT d.depends_on_id FROM above a JOIN task_dependencies d ON d.subtask_id = a.id
)
SELECT true FROM above WHERE id = $2 LIMIT 1
"""

_RELEASE = f"""
WITH freed AS (
    SELECT subtask_id, count(*)::integer AS number, min(depends_on_id::text) AS released_by
    FROM task_dependencies
    WHERE depends_on_id = ANY($1::uuid[]) AND subtask_id <> ALL($1::uuid[]) GROUP BY subtask_id
)
UPDATE tasks t SET
    waits_for = t.waits_for - f.number,
    status = CASE WHEN t.status = 'BLOCKED' AND t.waits_for = f.number THEN 'PENDING' ELSE t.status END,
    queued_at = CASE WHEN t.status = 'BLOCKED' AND t.waits_for = f.number AND p.status = 'ACTIVE'
        THEN statement_timestamp() ELSE t.queued_at END,
    updated_at = CASE WHEN t.status = 'BLOCKED' AND t.waits_for = f.number
        THEN clock_timestamp() ELSE t.updated_at END
FROM freed f, tasks p WHERE t.id = f.subtask_id AND p.id = t.parent_id
RETURNING {COLUMNS}, f.released_by,
    (t.waits_for = 0 AND t.status = 'PENDING') AS is_unblocked
"""


class Wanting(Protocol):
    """A new subtask, as far as dependencies go."""

    @property
    def key(self) -> str | None: ...
    @property
    def depends_on(self) -> list[str]: ...


class Needs(NamedTuple):
    """What a subtask depends on, and how many of those aren't done."""

    ids: list[UUID]
    open: int


async def resolve(
    board: Board, task_id: UUID, new: Sequence[Wanting], ids: Sequence[UUID]
) -> dict[UUID, Needs]:
    """What new subtasks, which will have these `ids`, depend on. Names are keys of the request, ids, or
    keys of the task. Raises `Invalid` for a name that says nothing here, and for a circle."""
    by_name = {each.key: id for each, id in zip(new, ids, strict=True) if each.key is not None}
    by_name |= {str(id): id for id in ids}
    names = {name for each in new for name in each.depends_on} - by_name.keys()
    there = await _look_up(board, task_id, names) if names else {}
    needs: dict[UUID, Needs] = {}
    for place, (each, id) in enumerate(zip(new, ids, strict=True)):
        found: dict[UUID, bool] = {}
        for name in each.depends_on:
            if name in by_name:
                found[by_name[name]] = True
            elif name in there:
                found[there[name][0]] = there[name][1]
            else:
                field = f"body.subtasks.{place}.depends_on"
                raise Invalid.of(field, f"no subtask {name!r} in this project")
        needs[id] = Needs(list(found), sum(found.values()))
    _refuse_circle(needs, dict(zip(ids, (each.key for each in new), strict=True)))
    return needs


async def _look_up(board: Board, task_id: UUID, names: set[str]) -> dict[str, tuple[UUID, bool]]:
    """Existing subtasks by the names that were used, and whether each is still open."""
    given = {id: name for name in names if (id := as_uuid(name))}
    rows = await board.connection.fetch(
        f"""SELECT id, key, parent_id, NOT {IS_DONE} AS is_open FROM tasks
            WHERE project_id = $1 AND parent_id IS NOT NULL AND id = ANY($2)
            UNION ALL
            SELECT id, key, parent_id, NOT {IS_DONE} FROM tasks
            WHERE parent_id = $3 AND key = ANY($4)""",
        board.project_id,
        list(given),
        task_id,
        list(names),
    )
    found: dict[str, tuple[UUID, bool]] = {}
    for row in rows:
        if row["parent_id"] == task_id and row["key"] in names:
            found[row["key"]] = (row["id"], row["is_open"])
        if row["id"] in given:
            found[given[row["id"]]] = (row["id"], row["is_open"])
    return found


def _refuse_circle(needs: Mapping[UUID, Needs], keys: Mapping[UUID, str | None]) -> None:
    graph = {id: [other for other in each.ids if other in needs] for id, each in needs.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        circle = [keys[id] or str(id) for id in error.args[1]]
        message = f"dependencies go in a circle: {' → '.join(reversed(circle))}"
        raise Invalid.of("body.subtasks", message) from None


async def insert(board: Board, needs: Mapping[UUID, Needs]) -> None:
    """Stores what new subtasks depend on."""
    edges = [(id, other) for id, each in needs.items() for other in each.ids]
    await board.connection.execute(
        """INSERT INTO task_dependencies (project_id, subtask_id, depends_on_id)
           SELECT $1, * FROM unnest($2::uuid[], $3::uuid[])""",
        board.project_id,
        [id for id, _ in edges],
        [other for _, other in edges],
    )


async def replace(board: Board, subtask: dict[str, Any], depends_on: Sequence[UUID]) -> None:
    """Gives a subtask other dependencies. Raises `Invalid` where they can't be."""
    if subtask["status"] not in ("BLOCKED", "PENDING"):
        raise Invalid.of("body.depends_on", f"the subtask is {subtask['status']}: it was begun")
    id, field = UUID(subtask["id"]), "body.depends_on"
    if id in depends_on:
        raise Invalid.of(field, "a subtask can't depend on itself")
    known = await board.connection.fetch(
        """SELECT id FROM tasks WHERE id = ANY($1::uuid[]) AND project_id = $2
           AND parent_id IS NOT NULL""",
        depends_on,
        board.project_id,
    )
    if absent := set(depends_on) - {row["id"] for row in known}:
        raise Invalid.of(field, f"no subtask '{absent.pop()}' in this project")
    if len(set(depends_on)) < len(depends_on):
        raise Invalid.of(field, "a subtask is named twice")
    if await board.connection.fetchval(_REACHES, depends_on, id):
        raise Invalid.of(field, "dependencies would go in a circle")
    await board.connection.execute("DELETE FROM task_dependencies WHERE subtask_id = $1", id)
    await insert(board, {id: Needs(list(depends_on), 0)})


async def number_open(connection: Connection, ids: Sequence[UUID]) -> int:
    """How many of these subtasks aren't done."""
    number: int = await connection.fetchval(
        f"SELECT count(*) FROM tasks WHERE id = ANY($1::uuid[]) AND NOT {IS_DONE}", ids
    )
    return number


async def release(board: Board, ids: Sequence[UUID], reason: str) -> list[str]:
    """Subtasks `ids` were open and are not any more: those that waited for nothing else are unblocked.

    Answers whom. Of several at once, a dependent names one of them as the cause.
    """
    rows = await board.connection.fetch(_RELEASE, list(ids))
    unblocked = [dict(row) for row in rows if row["is_unblocked"]]
    for row in sorted(unblocked, key=lambda row: (row["task_id"], row["position"], row["id"])):
        by = str(row.pop("released_by"))
        del row["is_unblocked"]
        shown = as_json(row)
        board.subtask_moved(shown, "BLOCKED", reason)
        told = {"subtask_id": shown["id"], "task_id": shown["task_id"], "unblocked_by_id": by}
        board.emit("subtask:unblocked", told)
    return [str(row["id"]) for row in unblocked]
