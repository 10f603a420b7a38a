"""Whether a project may add lines: judged in memory, so that no request pays a round trip for it.

Bytes are what was last counted (`usage`). Lines in a minute are counted as they are committed in this
process, by whichever way they came, and reported to Redis twice a second over all processes; without Redis
each process counts for itself. A project beyond either is refused lines until it is below again. Changes of
state are always taken, and so is a run's spool, which mixes both.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Protocol
from uuid import UUID

import structlog
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter

from runcast_api.storage.policy import Bounds
from runcast_server import outages
from runcast_server.db import Pool, acquire
from runcast_server.errors import QuotaExceeded
from runcast_server.eventlog.chains import Chain
from runcast_server.loops import Loop, item

REFRESH_SECONDS = 2.0
REPORT_SECONDS = 0.5
RETRY_SECONDS = 60
"""When to come back to a project that holds too many bytes."""

_LIMITED = """
SELECT p.id, coalesce((p.quota->>'lines_per_minute')::bigint, $2) AS lines_per_minute,
       coalesce(s.bytes > coalesce((p.quota->>'max_bytes')::bigint, $1), false) AS is_full
FROM projects p LEFT JOIN project_storage s ON s.project_id = p.id
WHERE p.deleted_at IS NULL AND (p.quota <> '{}' OR $1 IS NOT NULL OR $2 IS NOT NULL)
"""

log = structlog.get_logger()


class Admission(Protocol):
    """Says which projects may add no lines at this moment."""

    @property
    def is_refusing(self) -> bool:
        """Whether there is any such project."""

    def refusal(self, project_id: UUID) -> str | None:
        """Why the project may add no lines; None where it may."""


class Open:
    """Every project may add lines."""

    is_refusing = False

    def refusal(self, project_id: UUID) -> str | None:
        return None


class Quotas:
    """The quotas of all projects, as this process knows them."""

    def __init__(self, pool: Pool, counters: Storage, bounds: Bounds) -> None:
        self._pool = pool
        self._shared = FixedWindowRateLimiter(counters)
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._bounds = bounds
        self._full: frozenset[UUID] = frozenset()
        self._rates: dict[UUID, int] = {}
        self._uncounted: Counter[UUID] = Counter()
        self._refused_until: dict[UUID, float] = {}

    def loops(self) -> list[Loop]:
        """Its work as loops."""
        return [
            Loop("quotas", self.refresh, REFRESH_SECONDS),
            Loop("line quotas", self.report, REPORT_SECONDS),
        ]

    @property
    def is_refusing(self) -> bool:
        return bool(self._full or self._refused_until)

    def check(self, project_id: UUID) -> None:
        """Raises `QuotaExceeded` where the project may add no lines."""
        if self.is_refusing and (reason := self.refusal(project_id)) is not None:
            seconds = self._refused_until.get(project_id, 0.0) - time.monotonic()
            wait = RETRY_SECONDS if project_id in self._full else max(1, round(seconds))
            raise QuotaExceeded(reason, retry_after_seconds=wait)

    def refusal(self, project_id: UUID) -> str | None:
        if project_id in self._full:
            return "the project's log takes all the bytes of its quota"
        if project_id in self._refused_until:
            if self._refused_until[project_id] > time.monotonic():
                return "the project's lines of this minute are used up"
            del self._refused_until[project_id]
        return None

    def heard(self, project_id: UUID, chain: Chain) -> None:
        """Counts the lines of a chain that was committed in this process."""
        if project_id in self._rates:
            self._uncounted[project_id] += chain.lines

    async def refresh(self) -> None:
        """Reads which projects have a quota of lines, and which hold too many bytes."""
        bounds = self._bounds
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(_LIMITED, bounds.max_bytes, bounds.lines_per_minute)
        self._full = frozenset(row["id"] for row in rows if row["is_full"])
        rates = {row["id"]: row["lines_per_minute"] for row in rows}
        self._rates = {id: rate for id, rate in rates.items() if rate is not None}
        now = time.monotonic()
        self._refused_until = {
            id: until
            for id, until in self._refused_until.items()
            if id in self._rates and until > now
        }

    async def report(self) -> None:
        """Reports the lines that were committed since the last time."""
        counted, self._uncounted = self._uncounted, Counter()
        for project_id, number in counted.items():
            if number and (rate := self._rates.get(project_id)) is not None:
                with item("line quota", project=str(project_id)):
                    await self._report(project_id, number, rate)

    async def _report(self, project_id: UUID, number: int, rate: int) -> None:
        rule = RateLimitItemPerMinute(rate, 1, "lines")
        name = str(project_id)
        try:
            resets_at = await _ends_at(self._shared, rule, name, number)
        except outages.REDIS as error:
            log.warning("quotas.own_count", error=outages.named(error))
            resets_at = await _ends_at(self._own, rule, name, number)
        if resets_at is not None:
            self._refused_until[project_id] = time.monotonic() + max(1.0, resets_at - time.time())


async def _ends_at(
    limiter: FixedWindowRateLimiter, rule: RateLimitItemPerMinute, name: str, number: int
) -> float | None:
    """Counts, and answers when the window ends that is used up; None where it isn't."""
    if await limiter.hit(rule, name, cost=number):
        return None
    return (await limiter.get_window_stats(rule, name)).reset_time
