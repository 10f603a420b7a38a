"""The end of runs that telemetry made: nothing says that they are over, so silence does.

A look takes any of those that are due, so that none waits for those that can't be ended now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from runcast.contract import TERMINAL_STATUSES
from runcast_api.otlp import records
from runcast_api.runs import runs
from runcast_server.db import Connection, Pool, acquire
from runcast_server.eventlog.log import EventLog, Transaction
from runcast_server.loops import Items, Loop, grouped, item

TRACE = timedelta(minutes=10)
"""A trace whose root never comes is over so long after its last span."""
SESSION = timedelta(hours=12)
"""The same for sessions and services."""
EVERY_SECONDS = 10.0
PRUNE_SECONDS = 300.0
BATCH = 500

_BEGIN = """
INSERT INTO otlp_runs (run_id, project_id, closes_at) VALUES ($1, $2, now() + $3::interval)
ON CONFLICT (run_id) DO UPDATE SET closes_at = greatest(otlp_runs.closes_at, excluded.closes_at)
"""
_HEAR = """
UPDATE otlp_runs SET closes_at = now() + $2::interval
WHERE run_id = $1 AND closes_at < now() + $2::interval - interval '1 minute'
"""
_DUE = """
SELECT o.run_id, o.project_id FROM otlp_runs o JOIN projects p ON p.id = o.project_id
WHERE o.closes_at <= now() AND p.deleted_at IS NULL ORDER BY random() LIMIT $1
"""
_END = """
DELETE FROM otlp_runs WHERE run_id = $1 AND closes_at <= now() RETURNING true
"""
_POSTPONE = """
UPDATE otlp_runs o SET closes_at = r.heard_at + $2::interval FROM runs r
WHERE r.id = o.run_id AND o.run_id = $1 AND o.closes_at <= now() AND r.heard_at > now() - $3::interval
RETURNING true
"""
LATELY = timedelta(minutes=9)


@dataclass(eq=False)
class Silence:
    """Ends runs of which nothing comes any more. Any number of processes may do so."""

    pool: Pool
    eventlog: EventLog

    def loops(self) -> list[Loop]:
        """Its work as loops."""
        return [
            Loop("telemetry's runs", self.end, EVERY_SECONDS),
            Loop("telemetry's records", self.prune, PRUNE_SECONDS, limit_seconds=300.0),
        ]

    async def end(self) -> None:
        """One look."""
        async with acquire(self.pool) as connection:
            due = await connection.fetch(_DUE, BATCH)
        projects = Items("telemetry's runs")
        for project_id, its in grouped(due, "project_id").items():
            with projects.one(project=str(project_id)):
                for row in its:
                    with item("telemetry's run", run=str(row["run_id"])):
                        await self._end_one(project_id, row["run_id"])

    async def prune(self) -> None:
        await records.prune(self.pool)

    async def _end_one(self, project_id: UUID, run_id: UUID) -> None:
        async def change(transaction: Transaction) -> None:
            run = await runs.lock(transaction, run_id)
            # Someone else may report it meanwhile, a watcher or hooks: it isn't silent then.
            if await transaction.connection.fetchval(_POSTPONE, run_id, SESSION, LATELY):
                return
            if not await transaction.connection.fetchval(_END, run_id):
                return
            if run["status"] not in TERMINAL_STATUSES:
                await runs.change(transaction, run, {"status": "completed"})

        await self.eventlog.commit(project_id, change)


async def begin(connection: Connection, project_id: UUID, run_id: UUID, after: timedelta) -> None:
    """The run is over when nothing came for so long."""
    await connection.execute(_BEGIN, run_id, project_id, after)


async def hear(connection: Connection, run_id: UUID, after: timedelta) -> None:
    """Something came."""
    await connection.execute(_HEAR, run_id, after)


async def forget(connection: Connection, run_id: UUID) -> None:
    """The run has ended."""
    await connection.execute("DELETE FROM otlp_runs WHERE run_id = $1", run_id)
