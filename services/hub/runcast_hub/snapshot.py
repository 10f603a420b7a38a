"""What a new stream is told first: the project's active runs, and the head at which that is so.

Both come from one statement: two statements would disagree under load. Clients that connect together
share one query: whoever comes while one is under way waits for the next, so nobody is shown a state
from before he asked.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from runcast_server import runs
from runcast_server.db import Pool, acquire
from runcast_server.errors import NotFound

_ACTIVE = f"""
SELECT c.last_seq AS head, c.epoch, r.* FROM project_counters c
JOIN projects p ON p.id = c.project_id AND p.deleted_at IS NULL
LEFT JOIN LATERAL (
    SELECT {runs.COLUMNS} FROM runs
    WHERE runs.project_id = c.project_id AND {runs.IS_ACTIVE}
    ORDER BY created_at DESC, id DESC LIMIT 1000
) r ON true
WHERE c.project_id = $1
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The active runs of a project, in the state that its events up to `head` left."""

    epoch: int
    head: int
    active_runs: list[dict[str, Any]]


class Snapshots:
    """Snapshots of any project, one query for all who ask at the same time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: dict[UUID, list[asyncio.Future[Snapshot]]] = {}
        self._tasks: dict[UUID, asyncio.Task[None]] = {}

    async def take(self, project_id: UUID) -> Snapshot:
        """A snapshot no older than this call. Raises `NotFound`, `Unavailable`."""
        future: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(project_id, []).append(future)
        if project_id not in self._tasks:
            self._tasks[project_id] = asyncio.create_task(self._serve(project_id))
        return await future

    async def _serve(self, project_id: UUID) -> None:
        try:
            while waiting := self._waiting.pop(project_id, []):
                try:
                    snapshot = await self._read(project_id)
                except Exception as error:
                    _fail(waiting, error)
                else:
                    _succeed(waiting, snapshot)
        finally:
            del self._tasks[project_id]

    async def _read(self, project_id: UUID) -> Snapshot:
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(_ACTIVE, project_id)
        if not rows:
            raise NotFound(f"no project {project_id}")
        active = [runs.as_json(row) for row in rows if row["id"] is not None]
        return Snapshot(rows[0]["epoch"], rows[0]["head"], active)


def _succeed(waiting: list[asyncio.Future[Snapshot]], snapshot: Snapshot) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(snapshot)


def _fail(waiting: list[asyncio.Future[Snapshot]], error: Exception) -> None:
    for future in waiting:
        if not future.done():
            future.set_exception(error)
