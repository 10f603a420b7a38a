"""Where runtime events and reported worker status go to be stored, best effort.

They are written apart from everything else: a table that can't be written, a full disk or a slow index
never fails or delays the change or the ingest batch that an event came with. They wait in memory, at most
`MAX_WAITING`, in one task; the oldest go first when there is no more room. What was given up is counted
(`runcast_runtime_events_dropped_total`), and so is each write that failed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import asyncpg
import structlog

from runcast_api.runtime import events, metrics, workers
from runcast_api.runtime.events import RuntimeEventNew
from runcast_api.runtime.workers import WorkerStatusNew
from runcast_server import outages, tasks
from runcast_server.db import Pool, acquire

MAX_WAITING = 20_000
MAX_STATUSES = 5_000
"""Workers whose status waits at most; that of a further one is given up."""
MAX_BATCH = 500
STORE_SECONDS = 2.0
"""How long a reporter over HTTP waits at most, so that it finds what it reported."""
RETRY_SECONDS = 1.0
CLOSE_SECONDS = 2.0

log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class _Waiting:
    event: RuntimeEventNew
    stored: asyncio.Future[bool] | None = None

    def settle(self, is_stored: bool) -> None:
        if self.stored is not None and not self.stored.done():
            self.stored.set_result(is_stored)


class RuntimeSink:
    """One per process. `add` and `put_status` never wait and never fail."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: deque[_Waiting] = deque()
        self._statuses: dict[str, WorkerStatusNew] = {}
        self._wake = asyncio.Event()
        self._flushing = asyncio.Lock()

    def add(self, *new: RuntimeEventNew) -> None:
        """Takes events that will be stored if that is possible."""
        self._take([_Waiting(event) for event in new])

    def put_status(self, worker_id: str, status: WorkerStatusNew) -> None:
        """Takes a worker's status; a newer one replaces it while it waits."""
        if worker_id not in self._statuses and len(self._statuses) >= MAX_STATUSES:
            metrics.DROPPED.inc()
            return
        self._statuses[worker_id] = status
        self._wake.set()

    async def store(self, new: Sequence[RuntimeEventNew]) -> int:
        """Like `add`, and waits a moment; answers how many were stored by then."""
        loop = asyncio.get_running_loop()
        stored = [loop.create_future() for _ in new]
        self._take([_Waiting(event, future) for event, future in zip(new, stored, strict=True)])
        with contextlib.suppress(asyncpg.PostgresError, *outages.ANY):
            async with asyncio.timeout(STORE_SECONDS):
                await self._flush()
        return sum(future.done() and future.result() for future in stored)

    def _take(self, waiting: Sequence[_Waiting]) -> None:
        self._waiting.extend(waiting)
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popleft().settle(False)
            metrics.DROPPED.inc()
        self._wake.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Stores what comes for as long as the block lasts, and what still waits at its end."""
        task = asyncio.create_task(self._run(), name="runtime sink")
        try:
            yield
        finally:
            await tasks.end(task)
            with contextlib.suppress(*outages.ANY, asyncpg.PostgresError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._flush()

    async def _run(self) -> None:
        """The outermost place of the task: nothing that a write raises ends it."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._flush()
            except outages.ANY as error:
                metrics.FAILED_WRITES.inc()
                log.warning("runtime.waits", waiting=len(self._waiting), error=outages.named(error))
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()
            except Exception as error:
                metrics.FAILED_WRITES.inc()
                log.warning("runtime.failed", error=outages.named(error))

    async def _flush(self) -> None:
        """Stores all that waits. Raises what an outage raises, with the rest still waiting."""
        async with self._flushing:
            while self._statuses or self._waiting:
                await self._flush_statuses()
                await self._flush_events()

    async def _flush_events(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
        if batch:
            try:
                await self._write(batch)
            except BaseException:
                self._waiting.extendleft(reversed(batch))
                raise

    async def _flush_statuses(self) -> None:
        while self._statuses:
            worker_id, status = next(iter(self._statuses.items()))
            try:
                async with acquire(self._pool) as connection:
                    _, flip = await workers.put(connection, worker_id, status)
                if flip is not None:
                    self._waiting.append(_Waiting(flip))
            except Exception as error:
                if outages.is_outage(error):
                    raise
                metrics.FAILED_WRITES.inc()
                log.warning("worker_status.failed", worker=worker_id, error=outages.named(error))
            if self._statuses.get(worker_id) is status:
                del self._statuses[worker_id]

    async def _write(self, batch: list[_Waiting]) -> None:
        """Stores a batch; one that Postgres doesn't take is tried by halves, then given up."""
        try:
            await self._insert([each.event for each in batch])
        except Exception as error:
            if outages.is_outage(error):
                raise
            metrics.FAILED_WRITES.inc()
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._write(batch[:middle])
                await self._write(batch[middle:])
                return
            log.warning("runtime.dropped", number=len(batch), error=outages.named(error))
            metrics.DROPPED.inc(len(batch))
            for each in batch:
                each.settle(False)
            return
        metrics.STORED.inc(len(batch))
        for each in batch:
            each.settle(True)

    async def _insert(self, new: Sequence[RuntimeEventNew]) -> None:
        async with acquire(self._pool) as connection:
            try:
                await events.insert(connection, new)
            except asyncpg.CheckViolationError as error:
                if "no partition" not in str(error):
                    raise
                for day in {event.occurred_at.date(): event.occurred_at for event in new}.values():
                    await connection.execute("SELECT make_late_partition($1)", day)
                await events.insert(connection, new)
