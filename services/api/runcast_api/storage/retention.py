"""What grows old, or too much, is deleted: events by project, rejects and audit entries by age.

Events go from the beginning of a project's history, in small transactions; each moves the project's floor,
so a reader either finds an event or is told that it lies below the floor. A cut is judged by Postgres's clock
and by our own: one clock that was set ahead takes nothing away.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from runcast_api.storage import usage
from runcast_api.storage.policy import Bounds
from runcast_server import loops
from runcast_server.db import Connection, Pool, acquire
from runcast_server.loops import Loop

MEASURE_SECONDS = 2.0
RETENTION_SECONDS = 30.0
FORGET_SECONDS = 3600.0
BATCH_SEGMENTS = 500
BATCH_ROWS = 5_000
PROJECT_SECONDS = 20.0
"""How long one project may be worked on before others have their turn."""
MOST_PROJECTS = 500

_TO_MEASURE = """
SELECT c.project_id FROM project_counters c JOIN projects p ON p.id = c.project_id
LEFT JOIN project_storage s ON s.project_id = c.project_id
WHERE p.deleted_at IS NULL AND c.last_seq > 0
  AND (s.project_id IS NULL OR s.upto_seq <> c.last_seq OR s.epoch <> c.epoch)
  AND ($1 OR p.retention <> '{}' OR p.quota <> '{}')
ORDER BY random() LIMIT $2
"""
_TO_SHORTEN = """
SELECT * FROM (
    SELECT p.id, coalesce((p.retention->>'days')::integer, $1::integer) AS days,
           (p.retention->>'keep_failed_days')::integer AS failed_days,
           (p.retention->>'max_bytes')::bigint AS max_bytes, s.bytes, s.oldest_at,
           s.events > s.upto_seq - c.floor_seq AS has_events_below_floor
    FROM projects p JOIN project_storage s ON s.project_id = p.id
    JOIN project_counters c ON c.project_id = p.id WHERE p.deleted_at IS NULL
) limited
WHERE bytes > max_bytes OR oldest_at < clock_timestamp() - make_interval(days => days)
   OR (days IS NOT NULL AND has_events_below_floor)
ORDER BY random()
"""
_NOW = "SELECT clock_timestamp()"
_FORGET_REJECTS = """
DELETE FROM ingest_rejects WHERE id IN (
    SELECT id FROM ingest_rejects WHERE at < clock_timestamp() - make_interval(days => $1)
    ORDER BY id LIMIT $2)
"""
_FORGET_AUDIT = "SELECT forget_audit(make_interval(days => $1), $2)"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Keeper:
    """Each step may be done by any number of processes at once: a project's row is locked meanwhile."""

    pool: Pool
    bounds: Bounds
    reject_days: int
    audit_days: int

    def loops(self) -> list[Loop]:
        """Its work as loops."""
        return [
            Loop("storage", self.measure, MEASURE_SECONDS),
            Loop("retention", self.shorten, RETENTION_SECONDS, limit_seconds=600.0),
            Loop("records retention", self.forget, FORGET_SECONDS, limit_seconds=600.0),
        ]

    async def measure(self) -> None:
        """Counts what came to projects that have a limit; others are counted when it is asked for."""
        limits = (self.bounds.default_days, self.bounds.max_bytes)
        async with acquire(self.pool) as connection:
            rows = await connection.fetch(
                _TO_MEASURE, any(limit is not None for limit in limits), MOST_PROJECTS
            )
        projects = loops.Items("storage")
        for row in rows:
            with projects.one(project=str(row["project_id"])):
                await usage.measure(self.pool, row["project_id"])

    async def shorten(self) -> None:
        """Deletes what is beyond each project's retention. One project's failure costs that one."""
        async with acquire(self.pool) as connection:
            rows = await connection.fetch(_TO_SHORTEN, self.bounds.default_days)
        projects = loops.Items("retention")
        for row in rows:
            with projects.one(project=str(row["id"])):
                await self._shorten(row)
        async with acquire(self.pool) as connection:
            await connection.execute("SELECT drop_empty_partitions()")

    async def _shorten(self, row: Any) -> None:
        end = time.monotonic() + PROJECT_SECONDS
        passed = total = await self._drop(row)
        while passed and time.monotonic() < end:
            passed = await self._drop(row)
            total += passed
        if total:
            log.info("retention.dropped", project=str(row["id"]), segments=total)

    async def _drop(self, row: Any) -> int:
        async with acquire(self.pool) as connection:
            return await drop(
                connection, row["id"], row["days"], row["failed_days"], row["max_bytes"]
            )

    async def forget(self) -> None:
        """Deletes rejects and audit entries beyond their ages."""
        async with acquire(self.pool) as connection:
            gone = "DELETE 1"
            while gone != "DELETE 0":
                gone = await connection.execute(_FORGET_REJECTS, self.reject_days, BATCH_ROWS)
            number = 1
            while number:
                number = await connection.fetchval(_FORGET_AUDIT, self.audit_days, BATCH_ROWS)


async def drop(
    connection: Connection,
    project_id: UUID,
    days: int | None,
    failed_days: int | None = None,
    max_bytes: int | None = None,
    *,
    batch: int = BATCH_SEGMENTS,
) -> int:
    """Deletes at most `batch` segments beyond these limits; answers 0 when nothing is left to do."""
    now: datetime = min(await connection.fetchval(_NOW), datetime.now(UTC))
    older_than = None if days is None else now - timedelta(days=days)
    failed_older_than = older_than
    if days is not None and failed_days is not None:
        failed_older_than = now - timedelta(days=max(days, failed_days))
    passed: int = await connection.fetchval(
        "SELECT drop_oldest($1, $2, $3, $4, $5)",
        project_id,
        older_than,
        failed_older_than,
        max_bytes,
        batch,
    )
    return passed
