"""Liveness: whether a run's worker is still heard of. It never changes a run's status, and mends itself.

`ok` → `stalled` when nothing was heard for two heartbeats, or the promised time has passed; → `lost` eight
heartbeats later. Anything reported counts. Only runs at work are judged that once sent a heartbeat, or
were started by our SDK, CLI or a claim; one that waits for a person (it awaits feedback, and says for what)
is `ok`, however long that takes. A process that was just started waits as long as anybody would: while the
server was down, no one could report.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import structlog

from runcast_api.runs.runs import moment
from runcast_server import loops, runs
from runcast_server.db import Pool, acquire
from runcast_server.eventlog import frames
from runcast_server.eventlog.log import EventLog, Transaction
from runcast_server.runs import in_milliseconds

STATES = ("ok", "stalled", "lost")
STALLED_HEARTBEATS = 2
LOST_HEARTBEATS = 10
BATCH = 500

log = structlog.get_logger()

_CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float8"
_WAITS = "(status = 'awaiting_feedback' AND attention IS NOT NULL)"
_JUDGED = f"""
WITH heard AS (
    SELECT id, project_id, array_position(ARRAY['ok', 'stalled', 'lost'], liveness) - 1 AS now_is,
           CASE WHEN {_WAITS} THEN 0 ELSE extract(epoch FROM clock_timestamp() - heard_at) END AS silent_s,
           extract(epoch FROM clock_timestamp() - expected_at) AS overdue_s,
           expected_at > heard_at AND NOT {_WAITS} AS is_promised,
           $1::float8 AS up_s
    FROM runs WHERE is_watched AND {runs.IS_ACTIVE} AND ($3::uuid[] IS NULL OR id = ANY($3))
      AND EXISTS (SELECT FROM project_counters c WHERE c.project_id = runs.project_id)
), late AS (
    SELECT *, CASE WHEN is_promised THEN overdue_s
                   ELSE silent_s - $2::float8 * {STALLED_HEARTBEATS} END AS late_s
    FROM heard
), judged AS (
    SELECT *,
        CASE WHEN late_s <= 0 THEN 0
             WHEN late_s <= $2 * {LOST_HEARTBEATS - STALLED_HEARTBEATS} THEN 1 ELSE 2 END AS seems,
        CASE WHEN up_s <= $2 * {STALLED_HEARTBEATS} THEN 0
             WHEN up_s <= $2 * {LOST_HEARTBEATS} THEN 1 ELSE 2 END AS at_most
    FROM late
)
SELECT id, project_id, now_is,
       CASE WHEN seems <= now_is THEN seems ELSE greatest(now_is, least(seems, at_most)) END AS is
FROM judged
WHERE now_is <> CASE WHEN seems <= now_is THEN seems ELSE greatest(now_is, least(seems, at_most)) END
"""


@dataclass(eq=False)
class Judge:
    """Looks at all watched runs, and tells what changed."""

    pool: Pool
    eventlog: EventLog
    heartbeat_seconds: float
    listens_since: float
    """When this process began to listen, by `clock`: one that no administrator and no NTP sets, and that
    Postgres's need not agree with."""
    clock: Callable[[], float] = time.monotonic
    _ahead: float | None = None
    """By how much Postgres's clock was ahead of ours at the last look."""

    async def judge(self) -> None:
        """One look."""
        async with acquire(self.pool) as connection:
            self._compare_clocks(await connection.fetchval(_CLOCK))
            rows = await connection.fetch(
                f"{_JUDGED} ORDER BY random() LIMIT {BATCH}",
                self._up_seconds,
                self.heartbeat_seconds,
                None,
            )
        by_project: dict[UUID, list[UUID]] = {}
        for row in rows:
            by_project.setdefault(row["project_id"], []).append(row["id"])
        items = loops.Items("liveness.project")
        for project_id, run_ids in by_project.items():
            with items.one(project=str(project_id)):
                await self._tell(project_id, run_ids)

    def _compare_clocks(self, postgres_seconds: float) -> None:
        """When Postgres's clock was set, all that was heard before seems older or newer than it is: then
        judging begins again, as after a start."""
        ahead = postgres_seconds - self.clock()
        if self._ahead is not None and abs(ahead - self._ahead) > self.heartbeat_seconds / 2:
            log.warning("liveness.clock_was_set", by_seconds=round(ahead - self._ahead, 1))
            self.listens_since = self.clock()
        self._ahead = ahead

    @property
    def _up_seconds(self) -> float:
        return self.clock() - self.listens_since

    async def _tell(self, project_id: UUID, run_ids: list[UUID]) -> None:
        async def change(transaction: Transaction) -> None:
            connection = transaction.connection
            await connection.execute(
                "SELECT FROM runs WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE", run_ids
            )
            now = moment()
            for row in await connection.fetch(
                f"{_JUDGED} ORDER BY id", self._up_seconds, self.heartbeat_seconds, run_ids
            ):
                await connection.execute(
                    "UPDATE runs SET liveness = $2, updated_at = $3 WHERE id = $1",
                    row["id"],
                    STATES[row["is"]],
                    now,
                )
                told = {
                    "old_liveness": STATES[row["now_is"]],
                    "new_liveness": STATES[row["is"]],
                    "at": in_milliseconds(now),
                }
                event = frames.event("run:liveness_changed", told, run_id=row["id"])
                transaction.emit(project_id, event)

        await self.eventlog.commit(project_id, change)
