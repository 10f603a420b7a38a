"""This process's share of the ingest streams: an ingester of each stream whose lease it holds.

Once a second each process says that it lives, looks who holds what, takes its share of what is free, and
gives away what it holds beyond its share while another one has less. What no process takes for a while anyone
takes, share or not. An ingester that can't work gives its stream away, where there is another process.

Two streams are always led, and as many more of each kind as the settings say. A stream beyond that is led
while it holds anything: so streams can be added and taken away at any time, and no message waits in one that
no process reads, whatever number its sender was told.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from runcast.contract import INGEST_STREAM, MOST_INGEST_STREAMS, TAILER_STREAM
from runcast_api.ingest import metrics
from runcast_api.ingest.fair_queue import ALL_BYTES
from runcast_api.ingest.ingester import Ingester
from runcast_api.ingest.leases import Leases, Standing
from runcast_server import outages, tasks
from runcast_server.eventlog.bus import Bus, is_of_one_key
from runcast_server.loops import Loop

ROUND_SECONDS = 1.0
LOOK_SECONDS = 5.0
"""How often streams are looked into that are not always led."""
SPARE_SECONDS = 3.0
"""How long a stream may be free before one takes it who has its share already."""
SETTLE_SECONDS = 10.0
"""How long one waits after giving streams away, before giving away more."""
GIVE_BACK_SECONDS = 2.0
"""How long the end of a process may wait to give a stream back. Leases end by themselves."""
FAILING_SECONDS = 10.0
"""How long an ingester may fail, or not come round, before another process is let try."""

log = structlog.get_logger(__name__)


def streams_of(number: int) -> list[str]:
    """The streams that senders use which were told this number, in a fixed order."""
    parts = [f"runcast:{{ingest:{place}}}" for place in range(number)] if number > 1 else []
    return [INGEST_STREAM, *parts, TAILER_STREAM, *(f"{part}:tailer" for part in parts)]


ALL_STREAMS = streams_of(MOST_INGEST_STREAMS)


def spread(names: Sequence[str], number: int) -> list[str]:
    """`number` of them, evenly spaced: each process gets streams of both kinds."""
    number = min(number, len(names))
    return [names[int((place + 0.5) * len(names) / number)] for place in range(number)]


@dataclass(eq=False, slots=True)
class Led:
    """A stream that this process leads. `ending` is set once it's to be given away."""

    ingester: Ingester
    task: asyncio.Task[None]
    ending: asyncio.Task[None] | None = None


def _started(ingester: Ingester, stream: str) -> asyncio.Task[None]:
    return asyncio.create_task(ingester.run(), name=f"ingester of {stream}")


def _error_of(task: asyncio.Task[None]) -> BaseException | None:
    return None if task.cancelled() else task.exception()


class Leadership:
    """Starts and ends ingesters as leases come and go. `make` makes the ingester of a stream."""

    def __init__(
        self,
        leases: Leases,
        bus: Bus,
        number: int,
        make: Callable[[str], Ingester],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leases = leases
        self._bus = bus
        self._always = streams_of(number)
        self._make = make
        self._clock = clock
        self._led: dict[str, Led] = {}
        self._filled: list[str] = []
        self._looked_at = -math.inf
        self._free_since: dict[str, float] = {}
        self._left_alone: dict[str, float] = {}
        """Streams that were given away for not working here, and until when they aren't taken again."""
        self._settled_at = -math.inf
        for name in self._always:
            metrics.LEADING.labels(name)  # 0, so that it shows where no process leads one

    def loops(self) -> list[Loop]:
        """The background work, by the names under which `/ready` reports it."""
        return [Loop("ingest leadership", self.round, ROUND_SECONDS)]

    @property
    def streams(self) -> frozenset[str]:
        """The streams that this process leads now."""
        return frozenset(name for name, led in self._led.items() if led.ending is None)

    @property
    def trouble(self) -> str | None:
        """Why a stream can't be ingested at present; for `/ready`."""
        return next((why for led in self._led.values() if (why := led.ingester.complaint)), None)

    async def round(self) -> None:
        """One look at how things stand. Raises database errors; what is held then goes on."""
        self._begin_ended()
        standing = await self._leases.renew(self._led.keys())
        self._let_go_of_lost(standing)
        wanted = [*self._always, *await self._filled_streams()]
        self._give_away(standing, wanted)
        for stream in await self._leases.take(self._to_take(standing, wanted)):
            self._lead(stream)
        self._share_memory()

    # ------------------------------------------------------------------ which streams

    async def _filled_streams(self) -> list[str]:
        """The streams that aren't always led and hold something, or held something a moment ago."""
        if self._clock() - self._looked_at < LOOK_SECONDS:
            return self._filled
        others = [name for name in ALL_STREAMS if name not in self._always]
        pipeline = self._bus.client.pipeline(transaction=False)
        for name in others:
            pipeline.xlen(name)
        try:
            # What is no stream costs itself alone.
            sizes = await pipeline.execute(raise_on_error=False) if others else []
        except outages.REDIS:
            return self._filled
        if any(isinstance(size, Exception) and not is_of_one_key(size) for size in sizes):
            return self._filled
        self._looked_at = self._clock()
        self._filled = [
            name
            for name, size in zip(others, sizes, strict=True)
            if size and not isinstance(size, Exception)
        ]
        return self._filled

    def _to_take(self, standing: Standing, wanted: Collection[str]) -> list[str]:
        """What is free, up to this process's share; and what no process has taken for a while."""
        now, mine = self._clock(), len(self._led)
        free = [name for name in wanted if name not in standing.holders and name not in self._led]
        self._free_since = {name: self._free_since.get(name, now) for name in free}
        self._left_alone = {name: until for name, until in self._left_alone.items() if until > now}
        if standing.processes - {self._leases.process}:
            free = [name for name in free if name not in self._left_alone]
        spare = [name for name in free if now - self._free_since[name] >= SPARE_SECONDS]
        room = max(0, self._share(standing, wanted) - mine)
        return spare + spread(free, room)

    def _share(self, standing: Standing, wanted: Collection[str]) -> int:
        return math.ceil(len(wanted) / max(1, len(standing.processes)))

    def _give_away(self, standing: Standing, wanted: Collection[str]) -> None:
        leading = self.streams
        for name in leading - set(wanted):
            if self._led[name].ingester.is_idle:
                self._end(name)
        others = standing.processes - {self._leases.process}
        if not others:
            return
        for name in leading:
            if self._led[name].ingester.failing_seconds > FAILING_SECONDS:
                log.warning(
                    "ingest.given_away", stream=name, reason=self._led[name].ingester.trouble
                )
                self._left_alone[name] = self._clock() + FAILING_SECONDS
                self._end(name)
        self._even_out(standing, wanted, others)

    def _even_out(
        self, standing: Standing, wanted: Collection[str], others: Collection[Any]
    ) -> None:
        """Gives away what is beyond the share, while another process has less than it should."""
        share = self._share(standing, wanted)
        mine = [name for name in wanted if name in self.streams]
        if len(mine) <= share or self._clock() - self._settled_at < SETTLE_SECONDS:
            return
        held = Counter(standing.holders.values())
        least = len(wanted) // len(standing.processes)
        if any(held[process] < least for process in others):
            self._settled_at = self._clock()
            for name in spread(mine, len(mine) - share):
                self._end(name)

    # ------------------------------------------------------------------ ingesters

    def _lead(self, stream: str) -> None:
        ingester = self._make(stream)
        self._led[stream] = Led(ingester, _started(ingester, stream))
        log.info("ingest.leads", stream=stream)

    def _begin_ended(self) -> None:
        """Starts ingesters again that ended though no one asked for it: a lease is renewed for those that
        work, and no other process would take their streams."""
        for name in self.streams:
            led = self._led[name]
            if led.task.done():
                log.error("ingest.ended", stream=name, error=repr(_error_of(led.task)))
                led.task = _started(led.ingester, name)

    def _let_go_of_lost(self, standing: Standing) -> None:
        """Ends the ingesters of streams that another process took: this one was away for too long."""
        for name in self.streams:
            if standing.holders.get(name) != self._leases.process:
                self._end(name)

    def _end(self, stream: str) -> None:
        """Lets what is being committed end, and gives the stream away then. Its lease is kept so long."""
        led = self._led[stream]
        led.ending = asyncio.create_task(self._give_back(stream, led))

    async def _give_back(self, stream: str, led: Led) -> None:
        await tasks.end(led.task)
        try:
            async with asyncio.timeout(GIVE_BACK_SECONDS):
                await self._leases.give_back([stream])
        except outages.ANY as error:
            log.warning("ingest.lease_kept", stream=stream, error=str(error))  # it ends by itself
        finally:
            self._led.pop(stream, None)
            if stream not in self._always:
                metrics.LEADING.remove(stream)
                metrics.LAG_SECONDS.remove(stream)

    def _share_memory(self) -> None:
        """Divides what may wait in memory among the ingesters."""
        for led in self._led.values():
            led.ingester.most_bytes = ALL_BYTES // len(self._led)

    @contextlib.asynccontextmanager
    async def giving_back(self) -> AsyncIterator[None]:
        """Gives everything back at the end of the block, so that other processes go on at once. The loops
        must have ended by then."""
        try:
            yield
        finally:
            await self._stop()

    async def _stop(self) -> None:
        for name in self.streams:
            self._end(name)
        await asyncio.gather(*(led.ending for led in list(self._led.values()) if led.ending))
        try:
            async with asyncio.timeout(GIVE_BACK_SECONDS):
                await self._leases.end()
        except outages.ANY as error:
            log.warning("ingest.process_kept", error=str(error))  # it ends by itself
