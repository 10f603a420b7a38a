"""Resolves a task's or subtask's project and checks the caller's role in it."""

from __future__ import annotations

import time
from uuid import UUID

from runcast_server.auth import access, rights
from runcast_server.auth.access import ProjectAccess, as_uuid
from runcast_server.auth.principal import Principal, Role
from runcast_server.db import Connection, Database
from runcast_server.errors import Invalid, NotFound
from runcast_server.runs import PLANNER

REMEMBERED_SECONDS = 3.0
REMEMBERED_PROJECTS = 10_000

_PROJECT_OF_TASK = "SELECT project_id FROM tasks WHERE id = $1 AND parent_id IS NULL"
_PROJECT_OF_SUBTASK = "SELECT project_id FROM tasks WHERE id = $1 AND parent_id IS NOT NULL"


async def task(
    connection: Connection, caller: Principal, reference: str, needs: Role = rights.READ
) -> tuple[UUID, ProjectAccess]:
    """The task with this id, and its project. Raises `NotFound` or `Forbidden`."""
    absent = f"no task {reference!r}"
    return await _find(connection, caller, _PROJECT_OF_TASK, reference, absent, needs)


async def subtask(
    connection: Connection, caller: Principal, reference: str, needs: Role = rights.READ
) -> tuple[UUID, ProjectAccess]:
    """The subtask with this id, and its project. Raises `NotFound` or `Forbidden`."""
    absent = f"no subtask {reference!r}"
    return await _find(connection, caller, _PROJECT_OF_SUBTASK, reference, absent, needs)


async def _find(
    connection: Connection,
    caller: Principal,
    query: str,
    reference: str,
    absent: str,
    needs: Role,
) -> tuple[UUID, ProjectAccess]:
    id = as_uuid(reference)
    project_id = id and await connection.fetchval(query, id)
    if id is None or project_id is None:
        raise NotFound(absent)
    return id, await access.inside(connection, caller, project_id, absent, needs)


async def require_work(
    connection: Connection, project_id: UUID, agent_type: str | None, task_id: UUID | None
) -> None:
    """Raises `Invalid` unless a run of this type may work on that: a planner on a task of the project,
    every other agent on a subtask."""
    if task_id is None:
        return
    is_planner = agent_type == PLANNER
    is_task = await connection.fetchval(
        "SELECT parent_id IS NULL FROM tasks WHERE id = $1 AND project_id = $2", task_id, project_id
    )
    if is_task is None or is_task != is_planner:
        what = "task" if is_planner else "subtask"
        raise Invalid.of("body.task_id", f"no {what} '{task_id}' in this project")


class Workplaces:
    """Projects in which a caller may work, remembered for some seconds: workers ask many times a second.
    A right that was taken away is noticed within `REMEMBERED_SECONDS`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._remembered: dict[tuple[str, str], tuple[float, UUID]] = {}

    async def project(self, caller: Principal, reference: str) -> UUID:
        """The project's id. Raises as `access.project` does."""
        asked = (caller.name, reference)
        known = self._remembered.get(asked)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        async with self._database.acting(caller) as connection:
            found = await access.project(connection, caller, reference, rights.PLAN)
        if len(self._remembered) >= REMEMBERED_PROJECTS:
            self._remembered.clear()
        self._remembered[asked] = (time.monotonic() + REMEMBERED_SECONDS, found.id)
        return found.id
