"""What no one else would do in time: publish what a crash left behind, judge liveness, clean up.

A crash between commit and publish leaves Redis behind Postgres, and the next writer of the project mends
it; the sweeper does so when there is no next writer. It reads Redis's heads *before* Postgres's: events
are published after their commit, so a head above Postgres's number then means that Postgres went back (a
restore, a promotion that lost commits), and the project's history gets a new identity.

Any number of processes may sweep: everything here may be done twice. A transaction-level advisory lock
only spares them the work, and lets go of a process that was stopped.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from runcast_api.artifacts import erased_objects
from runcast_api.artifacts.store import ArtifactStore
from runcast_api.http.idempotency import KEPT_HOURS
from runcast_api.ingest import rejects
from runcast_server import loops
from runcast_server.db import Pool, acquire
from runcast_server.eventlog import epoch, erasure, history
from runcast_server.eventlog.bus import Bus, Head
from runcast_server.eventlog.history import Position
from runcast_server.eventlog.publisher import Publisher
from runcast_server.loops import Loop

PARTITIONED = ("segments", "runtime_events")
"""Tables with partitions by time: of segments one a month, of runtime events one a day."""
DAYS_AHEAD = 7
SWEEP_SECONDS = 0.5
LATELY = timedelta(seconds=30)
ALL_EVERY_SECONDS = 60.0
CHUNK = 500
STUCK = timedelta(seconds=15)
PURGE_AFTER = timedelta(seconds=10)
PURGE_ROWS = 5_000
TURN_SECONDS = 20.0
"""How long one run is erased, or one project purged, before others have their turn."""

_SWEEP_LOCK = 0x73776570  # "swep"
_OURS = "SELECT CASE WHEN pg_try_advisory_xact_lock($1) THEN ARRAY({projects}) END"
"""One process looks at a time: null where it's another. Lock, look and end are one round trip, as this is
done even while nothing happens."""
_ALL = _OURS.format(projects="SELECT project_id FROM project_counters WHERE last_seq > 0")
_LATELY_CHANGED = _OURS.format(
    projects="""
        SELECT project_id FROM project_counters
        WHERE last_seq > 0 AND last_at > clock_timestamp() - $2::interval"""
)
_DELETED = """
SELECT id FROM projects WHERE deleted_at < now() - $1::interval AND purged_at IS NULL
ORDER BY random() LIMIT 10
"""
_DROP = """
SELECT drop_partitions(
    'runtime_events', make_interval(days => $1) + greatest(now() - $2::timestamptz, interval '0'))
"""
"""Drops what is old by Postgres's clock and by our own: one clock that was set ahead takes nothing away."""

log = structlog.get_logger()


@dataclass(eq=False)
class Sweeper:
    """Compares Redis with Postgres, and does the housekeeping of the database."""

    pool: Pool
    bus: Bus
    publisher: Publisher
    store: ArtifactStore
    runtime_days: int = 30
    seen: dict[UUID, int] = field(default_factory=dict)
    """Each project's newest number at the last look: what Redis lacks of it is late, not on its way."""
    all_at: float = 0.0
    has_looked: bool = False

    def loops(self) -> list[Loop]:
        """The sweeper's work as loops."""
        return [
            Loop("sweeper", self.sweep, SWEEP_SECONDS),
            Loop("housekeeping", self.keep_house, 10.0),
            Loop("erasing", self.erase, 10.0, limit_seconds=300.0),
            Loop("removing", self.remove_objects, 10.0, limit_seconds=300.0),
            Loop("purging", self.purge, 10.0, limit_seconds=300.0),
            Loop("partitions", self.keep_partitions, 600.0, limit_seconds=300.0),
        ]

    async def sweep(self) -> None:
        """One look at the projects that changed lately; at all of them now and then."""
        is_full = time.monotonic() >= self.all_at
        which = (_ALL, _SWEEP_LOCK) if is_full else (_LATELY_CHANGED, _SWEEP_LOCK, LATELY)
        async with acquire(self.pool) as connection:
            ids = await connection.fetchval(*which)
        if ids is None:
            return
        seen: dict[UUID, int] = {}
        for start in range(0, len(ids), CHUNK):
            seen |= await self._compare(ids[start : start + CHUNK], is_full=is_full)
        if is_full:
            # What is behind is known at the second look, so the first one is followed at once.
            self.all_at = time.monotonic() + (ALL_EVERY_SECONDS if self.has_looked else 0.0)
            self.has_looked = True
            self.seen = seen
        else:
            self.seen |= seen

    async def _compare(self, project_ids: Sequence[UUID], *, is_full: bool) -> dict[UUID, int]:
        heads = await self.bus.heads(project_ids)
        async with acquire(self.pool) as connection:
            positions = await history.positions(connection, project_ids)
        projects = loops.Items("sweeper.mending")
        for project_id, head in zip(project_ids, heads, strict=True):
            position = positions.get(project_id)
            if position is not None and not (head is None and is_full):
                with projects.one(project=str(project_id)):
                    await self._mend(project_id, head, position)
        return {id: position.last_seq for id, position in positions.items()}

    async def _mend(self, project_id: UUID, head: Head | None, position: Position) -> None:
        due = self.seen.get(project_id, 0)
        if head is not None and head.epoch == position.epoch and head.seq > position.last_seq:
            await epoch.renew(self.pool, self.bus, project_id, head)
        elif head is None or head.epoch != position.epoch:
            if due:
                await self.bus.seed(project_id, position.epoch, position.last_seq)
        elif head.seq < due:
            await self.publisher.catch_up(project_id, position.epoch, head.seq, due)

    async def keep_house(self) -> None:
        """Ends stuck sessions, forgets old idempotency keys and rejects."""
        async with acquire(self.pool) as connection:
            ended = await connection.fetchval("SELECT end_stuck_sessions($1)", STUCK)
            await connection.execute(
                "DELETE FROM idempotency_keys WHERE created_at < now() - make_interval(hours => $1)",
                KEPT_HOURS,
            )
        if ended:
            log.warning("sessions.ended", number=ended)
        await rejects.prune(self.pool)

    async def erase(self) -> None:
        """Goes on with deleted runs whose events still say something. One that can't be erased now keeps no
        other one waiting."""
        async with acquire(self.pool) as connection:
            left = await erasure.unfinished(connection)
        runs = loops.Items("sweeper.erasing")
        for run_id, project_id in left:
            with runs.one(run=str(run_id)):
                await self._erase(run_id, project_id)

    async def _erase(self, run_id: UUID, project_id: UUID) -> None:
        has_more, end = True, time.monotonic() + TURN_SECONDS
        while has_more and time.monotonic() < end:
            async with acquire(self.pool) as connection:
                has_more = await erasure.go_on(connection, run_id)
        await self.bus.forget(project_id)

    async def remove_objects(self) -> None:
        """Removes contents of deleted artifacts that the store still has."""
        await erased_objects.remove(self.pool, self.store)

    async def purge(self) -> None:
        """Empties deleted projects. One that can't be emptied now keeps no other one waiting."""
        async with acquire(self.pool) as connection:
            deleted = await connection.fetch(_DELETED, PURGE_AFTER)
        projects = loops.Items("sweeper.purging")
        for row in deleted:
            with projects.one(project=str(row["id"])):
                await self._purge(row["id"])

    async def _purge(self, project_id: UUID) -> None:
        async with acquire(self.pool) as connection:
            rows = await connection.fetch(
                "SELECT object_key FROM artifacts WHERE project_id = $1 AND object_key IS NOT NULL",
                project_id,
            )
        for row in rows:
            await self.store.delete(row["object_key"])
        rows_gone, end = 1, time.monotonic() + TURN_SECONDS
        while rows_gone:
            if time.monotonic() > end:
                return
            async with acquire(self.pool) as connection:
                rows_gone = await connection.fetchval(
                    "SELECT purge_project($1, $2)", project_id, PURGE_ROWS
                )
        async with acquire(self.pool) as connection:
            for table in ("project_storage", "segment_compaction"):
                await connection.execute(f"DELETE FROM {table} WHERE project_id = $1", project_id)
        await self.bus.forget(project_id)
        log.info("project.purged", project=str(project_id))

    async def keep_partitions(self) -> None:
        """Makes the partitions of the coming days, and drops old ones of runtime events."""
        async with acquire(self.pool) as connection:
            for table in PARTITIONED:
                await connection.execute(
                    "SELECT make_partitions($1::text::regclass, $2)", table, DAYS_AHEAD
                )
            await connection.execute(_DROP, self.runtime_days, datetime.now(UTC))
