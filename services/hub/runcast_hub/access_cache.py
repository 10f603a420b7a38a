"""Who may open which stream, remembered for a moment.

When thousands of clients come back at once, most of them are the same few callers asking for the same
few projects. A right that was taken away is noticed by the next question after `KEPT_SECONDS`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID

from runcast_hub.coalesce import Together
from runcast_server.auth import access
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection, Database
from runcast_server.errors import Problem

KEPT_SECONDS = 2.0
KEPT_PERMITS = 10_000
AT_ONCE = 64
"""Questions of one caller in one transaction at most."""


class Target(NamedTuple):
    """What a stream shows: a project, or one run of it."""

    project_id: UUID
    run_id: UUID | None = None


_VISIBLE = """
SELECT p.id, m.role FROM projects p JOIN project_counters c ON c.project_id = p.id
LEFT JOIN project_members m ON m.project_id = p.id AND m.user_id = $1
WHERE p.deleted_at IS NULL AND ($2 OR p.id = $3 OR m.role IS NOT NULL)
ORDER BY c.last_at DESC, p.id LIMIT $4
"""


class Question(NamedTuple):
    """What a caller names: a project, or a run by its id or by its key in a project."""

    reference: str
    is_run: bool = False
    project: str | None = None


class Permits:
    """Asks the database whether a caller may read what it names, at most every `KEPT_SECONDS`, and in one
    transaction for all that it asks at the same time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: dict[tuple[Principal, Question], tuple[float, Target]] = {}
        self._asking: dict[Principal, Together[Question, Target]] = {}

    async def project(self, principal: Principal, reference: str) -> Target:
        """The project with this id or slug. Raises what `access.project` raises."""
        return await self._target(principal, Question(reference))

    async def run(self, principal: Principal, reference: str, project: str | None) -> Target:
        """The run with this id, or this key in `project`. Raises what `access.run_id` raises."""
        return await self._target(principal, Question(reference, True, project))

    async def visible(self, principal: Principal, limit: int) -> list[UUID]:
        """The projects that the caller may read, those in which something happened lately first."""
        if principal.run_id is not None:
            return []
        async with self._database.acting(principal) as connection:
            rows = await connection.fetch(
                _VISIBLE, principal.user_id, principal.is_admin, principal.project_id, limit
            )
        return [row["id"] for row in rows if access.role_in(principal, row["id"], row["role"])]

    async def _target(self, principal: Principal, question: Question) -> Target:
        until, target = self._kept.get((principal, question), (0.0, None))
        if target is None or until <= time.monotonic():
            target = await self._ask(principal, question)
            if len(self._kept) >= KEPT_PERMITS:
                self._kept.clear()
            self._kept[principal, question] = (time.monotonic() + KEPT_SECONDS, target)
        return target

    async def _ask(self, principal: Principal, question: Question) -> Target:
        asking = self._asking.get(principal)
        if asking is None:
            asking = self._asking[principal] = Together(
                partial(self._read, principal), AT_ONCE, lambda: self._asking.pop(principal, None)
            )
        return await asking.ask(question)

    async def _read(
        self, principal: Principal, questions: Sequence[Question]
    ) -> Mapping[Question, Target | Problem]:
        answers: dict[Question, Target | Problem] = {}
        async with self._database.acting(principal) as connection:
            for question in questions:
                try:
                    answers[question] = await _found(connection, principal, question)
                except Problem as refusal:
                    answers[question] = refusal
        return answers


async def _found(connection: Connection, principal: Principal, question: Question) -> Target:
    reference, is_run, project = question
    if is_run:
        run_id, found = await access.run_id(connection, principal, reference, project)
        return Target(found.id, run_id)
    found = await access.project(connection, principal, reference)
    return Target(found.id)
