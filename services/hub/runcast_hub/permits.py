"""Who may open which stream, remembered for a moment.

When thousands of clients come back at once, most of them are the same few callers asking for the same
few projects. A right that was taken away is noticed by the next question after `KEPT_SECONDS`.
"""

from __future__ import annotations

import time
from typing import NamedTuple
from uuid import UUID

from runcast_server import access
from runcast_server.auth import Principal
from runcast_server.db import Database

KEPT_SECONDS = 2.0
KEPT_PERMITS = 10_000


class Target(NamedTuple):
    """What a stream shows: a project, or one run of it."""

    project_id: UUID
    run_id: UUID | None = None


class Permits:
    """Asks the database whether a caller may read what it names, at most every `KEPT_SECONDS`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: dict[tuple[Principal, str, str | None], tuple[float, Target]] = {}

    async def project(self, principal: Principal, reference: str) -> Target:
        """The project with this id or slug. Raises what `access.project` raises."""
        key = (principal, reference, None)
        target = self._known(key)
        if target is None:
            async with self._database.acting(principal) as connection:
                found = await access.project(connection, principal, reference)
            target = self._keep(key, Target(found.id))
        return target

    async def run(self, principal: Principal, reference: str, project: str | None) -> Target:
        """The run with this id, or this key in `project`. Raises what `access.run_id` raises."""
        key = (principal, reference, project or "")
        target = self._known(key)
        if target is None:
            async with self._database.acting(principal) as connection:
                run_id, found = await access.run_id(connection, principal, reference, project)
            target = self._keep(key, Target(found.id, run_id))
        return target

    def _known(self, key: tuple[Principal, str, str | None]) -> Target | None:
        until, target = self._kept.get(key, (0.0, None))
        return target if until > time.monotonic() else None

    def _keep(self, key: tuple[Principal, str, str | None], target: Target) -> Target:
        if len(self._kept) >= KEPT_PERMITS:
            self._kept.clear()
        self._kept[key] = (time.monotonic() + KEPT_SECONDS, target)
        return target
