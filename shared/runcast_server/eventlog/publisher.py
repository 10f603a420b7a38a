"""After the commit: chains go to Redis in order, and missing earlier events go first.

A crash between commit and publish leaves Redis behind Postgres. The next publisher of the
project notices ("behind"), reads the missing events (committed: the counter's lock guarantees it)
and publishes those first; beyond a cap it jumps: the stream starts again at Postgres's head and the
hubs fill from Postgres. Nothing here is needed for durability, so a chain that Redis doesn't take is
dropped and counted, and the sweeper, which looks every second, publishes it from Postgres.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias
from uuid import UUID

import structlog

from runcast_server import metrics, outages
from runcast_server.db import Pool, acquire
from runcast_server.eventlog import chains, history
from runcast_server.eventlog.bus import Bus
from runcast_server.eventlog.chains import Chain
from runcast_server.eventlog.segments import Damaged
from runcast_server.tracing import spans
from runcast_server.tracing.spans import Cause, Tracer

CATCH_UP_EVENTS = 20_000
"""Missing events up to which they are published one page after another; beyond that it jumps."""
JOIN_BYTES = 64 * 1024
"""Chains that wait are joined into one up to this size."""
WAITING_BYTES = 32 * 1024 * 1024
"""What may wait in this process for Redis, of one project; beyond that Postgres is read again."""
ROUNDS = 8

Listener: TypeAlias = Callable[[UUID, Chain], None]
"""Hears of a project's committed chain."""

log = structlog.get_logger()


class Publisher:
    """Publishes the chains of this process, each project's in order and one at a time."""

    def __init__(self, bus: Bus, pool: Pool, tracer: Tracer | None = None) -> None:
        self._bus = bus
        self._pool = pool
        self._tracer = tracer
        self._lanes: dict[UUID, _Lane] = {}
        self._failing: str | None = None
        self.nearby: list[Listener] = []
        """In-process listeners: a hub in this process gets chains without waiting for Redis."""

    def add(self, project_id: UUID, chain: Chain) -> None:
        """Takes a committed chain; returns at once and never fails."""
        for listener in self.nearby:
            # Not called from here: what it raises must not look like a failed commit.
            asyncio.get_running_loop().call_soon(listener, project_id, chain)
        lane = self._lanes.get(project_id)
        if lane is None:
            lane = self._lanes[project_id] = _Lane()
        if lane.size + chain.size > WAITING_BYTES:
            metrics.FAILED_PUBLISHES.inc(len(lane.chains))
            lane.clear()
        lane.push(chain)
        if lane.task is None:
            lane.task = asyncio.create_task(self._drain(project_id, lane))

    async def _drain(self, project_id: UUID, lane: _Lane) -> None:
        try:
            while lane.chains:
                since, chain = lane.since, lane.take()
                with spans.during(self._tracer, "publish", "producer", chain.causes) as causes:
                    await self.publish(project_id, chain, causes)
                metrics.PUBLISH_SECONDS.observe(time.monotonic() - since)
        except Exception as error:
            # The outermost place of this task: whatever happened, the sweeper has the rest.
            metrics.FAILED_PUBLISHES.inc(1 + len(lane.chains))
            self._note_failure(project_id, error)
        else:
            self._failing = None
        finally:
            del self._lanes[project_id]

    def _note_failure(self, project_id: UUID, error: Exception) -> None:
        """Says once what fails, and not for each commit while Redis is away."""
        said = type(error).__name__
        if said != self._failing:
            log.warning(
                "publish.left_to_sweeper",
                project=str(project_id),
                error=str(error) or said,
                exc_info=not outages.is_outage(error),
            )
        self._failing = said

    async def publish(self, project_id: UUID, chain: Chain, causes: Sequence[Cause] = ()) -> None:
        """Publishes `chain`, and what Redis misses before it. Repeating it does nothing twice.

        Raises one of `outages.REDIS` or a database error; then the sweeper takes over.
        """
        for _ in range(ROUNDS):
            outcome = await self._bus.publish(project_id, chain, causes)
            if outcome.verdict == "published":
                metrics.PUBLISHED.inc(chain.last - chain.first + 1)
                return
            if outcome.verdict == "done":
                return
            metrics.LATE_PUBLISHES.labels(outcome.verdict).inc()
            if outcome.verdict == "behind":
                await self.catch_up(project_id, chain.epoch, outcome.head, chain.first - 1)
            elif not await self._seed(project_id, chain.epoch):
                return
        log.warning("publish.gave_up", project=str(project_id), first=chain.first)

    async def catch_up(self, project_id: UUID, epoch: int, head: int, upto: int) -> None:
        """Publishes the committed events `head` + 1 … `upto`, or jumps to Postgres's head."""
        if upto - head > CATCH_UP_EVENTS:
            await self._seed(project_id, epoch)
            return
        while head < upto:
            try:
                async with acquire(self._pool) as connection:
                    chain = await history.chain(connection, project_id, epoch, head, upto)
            except (history.Broken, Damaged):
                chain = None  # Retention passed Redis's head: nothing before Postgres's can be published.
            if chain is None:
                await self._seed(project_id, epoch)
                return
            outcome = await self._bus.publish(project_id, chain)
            if outcome.verdict not in ("published", "done"):
                return
            head = max(chain.last, outcome.head)

    async def _seed(self, project_id: UUID, epoch: int) -> bool:
        """Sets Redis's head to Postgres's; False when `epoch` is no longer the project's history."""
        async with acquire(self._pool) as connection:
            position = (await history.positions(connection, [project_id])).get(project_id)
        if position is None or position.epoch != epoch:
            return False
        metrics.JUMPS.inc()
        await self._bus.seed(project_id, position.epoch, position.last_seq)
        return True

    async def close(self) -> None:
        """Lets publishes in flight end, for 2 s at most: the sweeper of another process has the rest."""
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=2.0)


class _Lane:
    """Chains of one project that wait for Redis."""

    def __init__(self) -> None:
        self.chains: deque[Chain] = deque()
        self.size = 0
        self.since = 0.0
        """When the first of the chains that wait was committed, by the monotonic clock."""
        self.task: asyncio.Task[None] | None = None

    def push(self, chain: Chain) -> None:
        if not self.chains:
            self.since = time.monotonic()
        self.chains.append(chain)
        self.size += chain.size

    def clear(self) -> None:
        self.chains.clear()
        self.size = 0

    def take(self) -> Chain:
        """The next chain, joined with those that follow it without a hole."""
        run = [self.chains.popleft()]
        size = run[0].size
        while self.chains and size < JOIN_BYTES and _follows(self.chains[0], run[-1]):
            run.append(self.chains.popleft())
            size += run[-1].size
        self.size -= size
        self.since = time.monotonic()  # Later than it was for those that stay: a lower bound.
        return chains.join(run)


def _follows(chain: Chain, before: Chain) -> bool:
    return chain.first == before.last + 1 and chain.epoch == before.epoch
