"""Questions as they are read: one, or all that the caller may see, oldest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from runcast_api.conditions import Condition
from runcast_api.http import pagination
from runcast_api.http.pagination import Place
from runcast_api.questions.schemas import COLUMNS, Kind, State, as_json
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection
from runcast_server.errors import NotFound

_READABLE = "EXISTS (SELECT FROM projects p WHERE p.id = q.project_id AND p.deleted_at IS NULL)"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which questions: in this state, of a project, of a run, of this kind, answerable here or not."""

    state: State | None = None
    project_id: UUID | None = None
    run_id: UUID | None = None
    kind: Kind | None = None
    answerable: bool | None = None

    def condition(self) -> Condition:
        """The statement's condition; row-level security adds what the caller may read."""
        where = Condition()
        where.add(_READABLE)
        if self.state == "open":
            where.add(
                "q.state = 'open'"
            )  # As a constant, so that the index of the open ones serves.
        else:
            where.add_given("q.state = {0}", self.state)
        where.add_given("q.project_id = {0}", self.project_id)
        where.add_given("q.run_id = {0}", self.run_id)
        where.add_given("q.kind = {0}", self.kind)
        where.add_given("q.answerable = {0}", self.answerable)
        return where


async def page(
    connection: Connection, caller: Principal, wanted: Wanted, limit: int, cursor: str | None
) -> dict[str, Any]:
    """One page, oldest first. Raises `Invalid` for a foreign cursor."""
    query = ("questions", caller.name, wanted)
    where = wanted.condition()
    total = await connection.fetchval(
        f"SELECT count(*) FROM questions q WHERE {where}", *where.values
    )
    place = pagination.read(cursor, *query)
    if place is not None:
        where.add("(q.asked_at, q.id) > ({0}, {1})", place.at, place.id)
    rows = await connection.fetch(
        f"""SELECT {COLUMNS} FROM questions q WHERE {where}
            ORDER BY q.asked_at, q.id LIMIT {limit + 1:d}""",
        *where.values,
    )
    last = rows[limit - 1] if len(rows) > limit else None
    return {
        "questions": [as_json(row) for row in rows[:limit]],
        "total": total,
        "next_cursor": last and pagination.after(Place(last["asked_at"], last["id"]), *query),
    }


async def show(connection: Connection, question_id: UUID) -> dict[str, Any]:
    """The question as it is. Raises `NotFound`, also for who may not read it."""
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM questions WHERE id = $1", question_id)
    if row is None:
        raise NotFound(f"no question '{question_id}'")
    return as_json(row)


async def context(connection: Connection, question_id: UUID) -> dict[str, Any] | None:
    """What was kept of an agent's hook, to answer it in its own words."""
    kept: dict[str, Any] | None = await connection.fetchval(
        "SELECT context FROM questions WHERE id = $1", question_id
    )
    return kept
