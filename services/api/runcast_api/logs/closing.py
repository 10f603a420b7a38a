"""Logs that no one will end: their run is over, and nothing has come for a while.

A log that a file feeds is closed by the tailer. One that came over HTTP or Redis is closed by its sender,
unless that was killed; then it is closed here as `abandoned`, so that a stream of the run can end. Lines
that come all the same reopen it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from runcast_server import loops
from runcast_server.db import Pool, acquire
from runcast_server.eventlog import frames
from runcast_server.eventlog.log import EventLog, Transaction

SILENT = timedelta(minutes=10)
BATCH = 200

_ABANDONED = """
SELECT s.project_id, s.run_id, s.source FROM log_sources s JOIN runs r ON r.id = s.run_id
WHERE s.closed_reason IS NULL AND r.finished_at < now() - $1::interval
  AND s.updated_at < now() - $1::interval
  AND EXISTS (SELECT FROM project_counters c WHERE c.project_id = s.project_id)
ORDER BY random() LIMIT $2
"""
_CLOSE = """
UPDATE log_sources SET closed_reason = 'abandoned', closed_at = now(), is_active = false
WHERE run_id = $1 AND source = $2 AND closed_reason IS NULL AND updated_at < now() - $3::interval
RETURNING source, lines, bytes
"""


@dataclass(frozen=True)
class Closer:
    """Looks for such logs, and closes them."""

    pool: Pool
    eventlog: EventLog
    silent: timedelta = SILENT

    async def close(self) -> None:
        """One look."""
        async with acquire(self.pool) as connection:
            rows = await connection.fetch(_ABANDONED, self.silent, BATCH)
        items = loops.Items("log_closing.project")
        for project_id, sources in loops.grouped(rows, "project_id").items():
            with items.one(project=str(project_id)):
                await self._close(project_id, sources)

    async def _close(self, project_id: UUID, sources: list[Any]) -> None:
        async def change(transaction: Transaction) -> None:
            # In one order, as others may close the same ones at this moment.
            for source in sorted(sources, key=lambda one: (one["run_id"], one["source"])):
                run_id = source["run_id"]
                closed = await transaction.connection.fetchrow(
                    _CLOSE, run_id, source["source"], self.silent
                )
                if closed is not None:
                    told = dict(closed) | {"reason": "abandoned"}
                    event = frames.event("log:closed", told, run_id=run_id)
                    transaction.emit(project_id, event)

        await self.eventlog.commit(project_id, change)
