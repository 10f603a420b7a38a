"""The one active ingester of a stream: it leads by a lease, and proves it with every commit.

A lease says who leads (`leadership`). It is only a hint: a leader that was stopped believes in it when it
wakes up, finds that the cursor isn't where it left it (`Fenced`), and steps back, also when no messages come.

While a batch commits, the next ones are read and parsed, and the next one is sent off.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import structlog

from runcast_api.ingest import cursors, metrics
from runcast_api.ingest.batches import MAX_EVENTS, Applier, Fenced, Read, UnderWay
from runcast_api.ingest.fair_queue import ALL_BYTES, BLOCK_MS, FairQueue
from runcast_api.ingest.patience import Patience
from runcast_api.ingest.stream import LAST, START, IngestStream, Position, as_numbers
from runcast_server import outages
from runcast_server.db import Pool, acquire
from runcast_server.eventlog.bus import Bus

RETRY_SECONDS = 0.5
STEP_BACK_SECONDS = 2.0
"""How long one waits who was fenced: the other one goes on first."""
HUNG_SECONDS = 45.0
"""Longer than any batch takes, with all time-outs that there are."""

_CURSOR = "SELECT stream_epoch, last_id FROM ingest_cursor WHERE stream = $1"
_NEW_EPOCH = """
UPDATE ingest_cursor SET stream_epoch = $2 + 1, last_id = '0-0', updated_at = clock_timestamp()
WHERE stream = $1 AND stream_epoch = $2 AND last_id = $3
"""

log = structlog.get_logger(__name__)


class Ingester:
    """Reads one ingest stream and applies it, while this process leads."""

    def __init__(
        self,
        bus: Bus,
        pool: Pool,
        applier: Applier,
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._bus = bus
        self._pool = pool
        self._applier = applier
        self._name = applier.stream
        self._prepare = prepare
        self._patience = Patience()
        self.is_leading = False
        self.most_bytes = ALL_BYTES
        """How much may wait in memory."""
        self._is_idle = False
        self._came_round_at = time.monotonic()
        self.trouble: str | None = None
        """What failed last, where nothing has worked since."""

    async def run(self) -> None:
        """Leads until it's cancelled (by `tasks.end`). Whatever fails is tried again."""
        while True:
            try:
                await self._lead()
            except Fenced:
                metrics.FENCED.inc()
                log.warning("ingest.fenced", stream=self._name)
                await asyncio.sleep(STEP_BACK_SECONDS)
            except (Exception, asyncio.CancelledError) as error:
                # Also where only something that was waited for was cancelled, which looks the same.
                self._stumble(error)
            await asyncio.sleep(RETRY_SECONDS)

    @property
    def is_idle(self) -> bool:
        """Whether the stream was read to its end a moment ago."""
        return self._is_idle

    @property
    def failing_seconds(self) -> float:
        """For how long nothing was ingested though it was tried; 0 where all is well. One that hangs fails,
        too, once it took far longer than anything takes."""
        silent = time.monotonic() - self._came_round_at
        if self.trouble is None:
            return max(0.0, silent - HUNG_SECONDS)
        return silent

    @property
    def complaint(self) -> str | None:
        """Why nothing is ingested at present, also where it only hangs; None where all is well."""
        if self.trouble is None and (seconds := self.failing_seconds):
            return f"no sign of life for {HUNG_SECONDS + seconds:.0f} s"
        return self.trouble

    def _came_round(self) -> None:
        self._came_round_at, self.trouble = time.monotonic(), None

    def _stumble(self, error: BaseException) -> None:
        """Notes why the work stopped; it's taken up again whatever it was, unless this is to end: a
        connection that breaks while it's cancelled raises its own error in place of the cancellation."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from error
        before, self.trouble = self.trouble, outages.line_of(error)
        if self.trouble == before:
            return  # it is tried twice a second, and was said
        if outages.is_outage(error):
            log.warning("ingest.waits", stream=self._name, error=self.trouble)
        else:
            log.error("ingest.failed", stream=self._name, exc_info=error)

    @contextlib.asynccontextmanager
    async def _stream(self) -> AsyncIterator[IngestStream]:
        client = self._bus.dedicated(block_seconds=BLOCK_MS / 1_000)
        try:
            yield IngestStream(client, self._name)
        finally:
            await client.aclose()

    async def _lead(self) -> None:
        self.is_leading = True
        metrics.LEADING.labels(self._name).set(1)
        try:
            if self._prepare is not None:
                await self._prepare()
            async with self._stream() as stream:
                position = await self._position(stream)
                await stream.delete_upto(cursors.all_done_to(position.last_id))
                await self._follow(stream, position)
        finally:
            self.is_leading = False
            metrics.LEADING.labels(self._name).set(0)
            metrics.LAG_SECONDS.labels(self._name).set(0)

    async def _position(self, stream: IngestStream, mine: Position | None = None) -> Position:
        """Where to read on: after the cursor, or at the beginning of a stream that is another one. Raises
        `Fenced` where the cursor isn't `mine`: someone else moved it."""
        async with acquire(self._pool) as connection:
            row = await connection.fetchrow(_CURSOR, self._name)
        assert row is not None
        position = Position(*row)
        if mine is not None and position != mine:
            raise Fenced
        # Asked after the cursor, which only moves on; and without a connection of the pool, which all
        # ingesters together would use up while Redis doesn't answer.
        last_id = await stream.last_id()
        done_to, _ = cursors.parse(position.last_id)
        if last_id == LAST == position.last_id:
            log.error("ingest.exhausted", stream=self._name)
            await stream.replace_exhausted()
        elif as_numbers(last_id) >= as_numbers(done_to):
            return position
        async with acquire(self._pool) as connection:
            done = await connection.execute(
                _NEW_EPOCH, self._name, position.epoch, position.last_id
            )
        if done != "UPDATE 1":
            raise Fenced
        metrics.STREAM_EPOCHS.inc()
        log.warning("ingest.new_stream", cursor=position.last_id, last_id=last_id)
        return Position(position.epoch + 1, START)

    def _queue(self, stream: IngestStream, position: Position) -> FairQueue:
        max_events = self._patience.max_events(position)
        return FairQueue(stream, position, self._applier.project_of, max_events)

    async def _follow(self, stream: IngestStream, position: Position) -> None:
        """Reads and parses ahead, and sends the next batch while the one before commits; removes what is
        done."""
        queue = self._queue(stream, position)
        done: list[str] = []
        under_way: UnderWay | None = None
        while True:
            if queue.is_empty:
                await stream.delete(done)
                done = []
            queue.most_bytes = self.most_bytes
            batch = await queue.next()
            self._is_idle = batch is None
            if batch is None:
                self._came_round()
                metrics.LAG_SECONDS.labels(self._name).set(0)
                position = await self._position(stream, position)
                await stream.delete_upto(cursors.all_done_to(position.last_id))
                queue = self._queue(stream, position)
                continue
            if self._patience.is_over(position) and await self._applier.is_ready():
                position = await self._applier.reject(position, batch[0], self._patience.reason)
                done.append(batch[0].id)
                queue = self._queue(stream, position)
                continue
            commit = asyncio.create_task(self._applier.commit(position, batch, under_way))
            under_way = None
            try:
                await asyncio.sleep(0)  # the commit goes out before all else
                after = Position(position.epoch, batch[-1].cursor)
                under_way = await self._sent_ahead(queue, after)
                await stream.delete(done)
                await queue.fill()
                under_way = under_way or await self._sent_ahead(queue, after)
                position = await self._committed(position, commit)
            except BaseException:
                await self._let_end(commit, under_way)
                raise
            self._came_round()
            queue.max_events = MAX_EVENTS
            done = [read.id for read in batch]
            _count(self._name, batch)

    async def _sent_ahead(self, queue: FairQueue, after: Position) -> UnderWay | None:
        """Sends the next batch off, if it is in memory: Postgres has it when the one before is committed."""
        if (following := queue.peek()) is None:
            return None
        await self._applier.let_pass()
        return await self._applier.begin(after, following)

    async def _let_end(self, commit: asyncio.Task[Position], under_way: UnderWay | None) -> None:
        """What is being committed is let end, and says nothing against why its leader ends. Of a batch that
        was sent ahead no one else tells that it is committed."""
        ending: list[asyncio.Task[Any]] = [commit]
        if under_way is not None:
            ending.append(under_way)
        await asyncio.wait(ending)
        failed = [task.cancelled() or task.exception() is not None for task in ending]
        if under_way is not None and not failed[-1]:
            self._applier.tell(under_way)

    async def _committed(self, before: Position, commit: asyncio.Task[Position]) -> Position:
        try:
            return await commit
        except Exception as error:
            self._patience.failed(before, error)
            raise


def _count(stream: str, batch: Sequence[Read]) -> None:
    metrics.MESSAGES.inc(len(batch))
    oldest_ms = min(as_numbers(batch[0].id)[0], as_numbers(batch[-1].id)[0])
    seconds = max(0.0, time.time() - oldest_ms / 1000)
    metrics.LAG_SECONDS.labels(stream).set(seconds)
    metrics.DELAY_SECONDS.observe(seconds)
