"""Lists of runs: of one project, or of all that the caller may see; newest first, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from runcast.contract import Status
from runcast_api.http import pagination
from runcast_api.http.pagination import Place
from runcast_api.logs import like
from runcast_api.runs.runs import Run
from runcast_server import runs
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection

_COLUMNS = ", ".join(f"r.{name}" for name in runs.MEMBERS)

_WANTED = """
FROM runs r WHERE
    ($1::uuid IS NULL OR r.project_id = $1)
    AND ($2::text[] IS NULL OR r.status = ANY($2))
    AND ($3::text IS NULL OR r.key = $3)
    AND ($1::uuid IS NOT NULL OR r.project_id IN (
        SELECT p.id FROM projects p WHERE p.deleted_at IS NULL AND ($4 OR p.id = $5
            OR EXISTS (SELECT FROM project_members m WHERE m.project_id = p.id AND m.user_id = $6))))
"""

_OF_TASK = "AND r.task_id = $7"
_OF_ANY = "AND $7::uuid IS NULL"
_WITH_WORDS = """
    AND concat_ws(' ', r.id, r.key, r.name, r.agent_name, r.agent_type, r.current_step) ILIKE ALL ($8::text[])
"""
_WITH_ANYTHING = "AND $8::text[] IS NULL"
_AFTER = """
    AND ($9::timestamptz IS NULL OR (r.created_at, r.id) < ($9, $10::uuid))
ORDER BY r.created_at DESC, r.id DESC LIMIT $11
"""


class RunPage(BaseModel):
    runs: list[Run]
    total: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs: of a project (None: all that the caller may see), in these states, with this key, at
    work on this task or subtask, with each word of `q` in id, key, name, agent or step, in any case."""

    project_id: UUID | None
    statuses: list[Status] | None = None
    key: str | None = None
    task_id: UUID | None = None
    q: str | None = None

    @property
    def condition(self) -> str:
        """The statement's condition. What is rare enough for an index of its own, or costs every row
        something, stands in it only when asked for: no plan must do for both."""
        of_task = _OF_ANY if self.task_id is None else _OF_TASK
        with_words = _WITH_ANYTHING if self.patterns is None else _WITH_WORDS
        return f"{_WANTED} {of_task} {with_words}"

    @property
    def patterns(self) -> list[str] | None:
        """What `q` asks for, a pattern for each word; None where it asks for nothing."""
        return [like.containing(word) for word in (self.q or "").split()] or None


async def page(
    connection: Connection, caller: Principal, wanted: Wanted, limit: int, cursor: str | None
) -> dict[str, Any]:
    """One page of runs, and how many there are in all. Raises `Invalid` for a foreign cursor."""
    query = ("runs", caller.name, wanted)
    place = pagination.read(cursor, *query)
    filters = (
        wanted.project_id,
        wanted.statuses,
        wanted.key,
        caller.is_admin,
        caller.project_id,
        caller.user_id,
        wanted.task_id,
        wanted.patterns,
    )
    statement = f"SELECT {_COLUMNS} {wanted.condition} {_AFTER}"
    rows = await connection.fetch(
        statement, *filters, place and place.at, place and place.id, limit + 1
    )
    total = await connection.fetchval(f"SELECT count(*) {wanted.condition}", *filters)
    shown = rows[:limit]
    last = shown[-1] if len(rows) > limit else None
    return {
        "runs": [runs.as_json(row) for row in shown],
        "total": total,
        "next_cursor": last and pagination.after(Place(last["created_at"], last["id"]), *query),
    }
