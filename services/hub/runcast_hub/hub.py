"""The hub: rooms by project, one Redis link, one wheel of timers.

Every few seconds one query compares all rooms with Postgres, which is what makes anything that live
messages missed a delay and never a loss.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog

from runcast_hub import completion, metrics, revocation
from runcast_hub.coalesce import Together
from runcast_hub.combined import Combined
from runcast_hub.completion import RunStreams
from runcast_hub.connection_limits import RENEW_SECONDS, Leases
from runcast_hub.gzip import Blocks
from runcast_hub.heartbeats import Heart
from runcast_hub.history_reader import Source
from runcast_hub.peers import REGISTER_EVERY_SECONDS, Control
from runcast_hub.pubsub import RECONNECT_SECONDS, Link
from runcast_hub.revocation import Grounds
from runcast_hub.ring import Budget
from runcast_hub.room import Room
from runcast_hub.rooms import Rooms
from runcast_hub.subscriber import Subscriber
from runcast_hub.timer_wheel import Wheel
from runcast_hub.wire import Timing
from runcast_server import loops
from runcast_server.db import Database, acquire
from runcast_server.errors import NotFound
from runcast_server.eventlog import bus as buses
from runcast_server.eventlog import epoch, history
from runcast_server.eventlog.bus import Bus, Head, Traced
from runcast_server.eventlog.chains import Chain
from runcast_server.eventlog.history import Position
from runcast_server.loops import Loop
from runcast_server.settings import HubSettings
from runcast_server.tracing.spans import Tracer

COMPARE_SECONDS = 3.0
"""How often rooms compare their heads with Postgres: one query for all."""
BLIND_COMPARE_SECONDS = 0.5
"""The same without Redis, when this is the way by which events arrive."""
CLOSE_SECONDS = 2.5
POSITIONS_AT_ONCE = 256

_LIVE = re.compile(r"runcast:\{([0-9a-f-]{36})\}:live")

log = structlog.get_logger()


class Hub:
    """All rooms and streams of one process. `answer` serves what other hubs ask about its streams."""

    def __init__(
        self,
        settings: HubSettings,
        database: Database,
        bus: Bus,
        answer: Callable[[Hub, dict[str, Any]], Awaitable[dict[str, Any]]],
        *,
        has_neighbours: bool = False,
        tracer: Tracer | None = None,
    ) -> None:
        self.id = secrets.token_hex(4)
        self.settings = settings
        self.database = database
        self.leases = Leases(bus, self.id)
        self.timing = Timing(
            Wheel(), settings.sse_heartbeat_interval_s, settings.sse_connection_timeout_m * 60
        )
        self.control = Control(bus, self.id, lambda request: answer(self, request))
        self.link = Link(bus, self.id, self._on_message, self.control.hear, self._compare_soon)
        self.subscribers: dict[str, Subscriber | Combined] = {}
        self.is_draining = False
        self.blocks = Blocks()
        self.has_neighbours = has_neighbours
        """Whether other workers serve on the same port, so that who is sent away may return at once."""
        self._budget = Budget(settings.hub_memory_mb * 1024 * 1024)
        self._bus = bus
        self._tracer = tracer
        self._source = Source(bus, database, self._budget)
        self.rooms = Rooms(
            self.link, Together(self._read_positions, POSITIONS_AT_ONCE), self._make_room
        )
        self._all_gone = asyncio.Event()
        self._grounds = Grounds(database)
        self._run_streams = RunStreams(database.log)
        self.comparing = Loop("postgres", self.compare, self._compare_seconds)
        self.loops = [
            self.comparing,
            Loop("redis", self.link.run, RECONNECT_SECONDS, limit_seconds=None),
            Loop("completing", self._complete, completion.LOOK_SECONDS),
            Loop("revocation", self._grounds.look, revocation.LOOK_SECONDS),
            Loop("connection limits", self.leases.renew, RENEW_SECONDS),
            Loop("registration", self.control.register, REGISTER_EVERY_SECONDS),
            Loop("timers", self.timing.wheel.turn, 0.0),
            Loop("closing", self.rooms.close_idle, CLOSE_SECONDS),
        ]
        """The background work, by the names under which `/ready` reports it."""

    # ------------------------------------------------------------------ rooms

    def _make_room(self, project_id: UUID) -> Room:
        watching = (self._grounds, self._run_streams)
        most = self.settings.event_channel_buffer
        room = Room(project_id, self._source, self._budget, most, watching, self._tracer)
        Heart(room, self.timing)
        return room

    async def _read_positions(
        self, project_ids: Sequence[UUID]
    ) -> Mapping[UUID, Position | Exception]:
        async with acquire(self.database.log) as connection:
            found = await history.positions(connection, project_ids)
        return {each: found.get(each) or NotFound(f"no project {each}") for each in project_ids}

    def _on_message(self, channel: str, data: bytes) -> None:
        match = _LIVE.fullmatch(channel)
        if match is None:
            return
        message = buses.parse_live(data)
        if isinstance(message, Traced):
            if (room := self.rooms.get(UUID(match[1]))) is not None:
                room.trace(message)
            return
        # What isn't understood, and news of another history: Postgres tells what is true.
        if message is None or not self.rooms.receive(UUID(match[1]), message):
            self._compare_soon()

    def hear(self, project_id: UUID, chain: Chain) -> None:
        """Takes a chain that was committed in this process, before Redis brings it."""
        room = self.rooms.get(project_id)
        if room is not None:
            room.hear(chain)

    # ------------------------------------------------------------------ streams

    def add(self, subscriber: Subscriber | Combined) -> None:
        """Starts the timers of a new stream."""
        self.subscribers[subscriber.connection_id] = subscriber
        metrics.OPENED.inc()
        metrics.CONNECTIONS.set(len(self.subscribers))
        subscriber.start_timing()
        if self.is_draining:
            subscriber.end("shutdown")

    def remove(self, subscriber: Subscriber | Combined) -> None:
        """Forgets a stream that ended."""
        self.subscribers.pop(subscriber.connection_id, None)
        if self.is_draining and not self.subscribers:
            self._all_gone.set()
        metrics.CONNECTIONS.set(len(self.subscribers))

    # ------------------------------------------------------------------ comparing with Postgres

    def _compare_soon(self) -> None:
        self.comparing.soon()

    def _compare_seconds(self) -> float:
        return COMPARE_SECONDS if self.link.is_up else BLIND_COMPARE_SECONDS

    async def compare(self) -> None:
        """Tells every room where Postgres says that it stands."""
        rooms = list(self.rooms)
        if not rooms:
            return
        heads = {room: room.target for room in rooms}
        seen = {room: Head(room.epoch, room.head) for room in rooms}
        async with acquire(self.database.log) as connection:
            positions = await history.positions(connection, [room.project_id for room in rooms])
        behind = 0
        for room in rooms:
            with loops.item("room", project=str(room.project_id)):
                behind += self._compare_room(room, positions.get(room.project_id), heads[room])
        metrics.EVENTS_BEHIND.set(behind)
        metrics.RING_BYTES.set(self._budget.used)
        await self._renew(seen, positions)

    def _compare_room(self, room: Room, position: Position | None, target: int) -> int:
        """Tells one room where Postgres says that it stands; by how many events it was behind."""
        if position is None:
            room.end("deleted")
            return 0
        late = max(0, position.last_seq - target)
        if room.seems_deaf(is_behind=late > 0) and self.link.is_up:
            log.warning("room.deaf", project=str(room.project_id), behind=late)
            self.link.resubscribe(room.project_id)
        room.compare(position)
        return late

    async def _renew(self, seen: dict[Room, Head], positions: dict[UUID, Position]) -> None:
        """Where we have sent what Postgres has no more, history went back. Redis may not remember it."""
        projects = loops.Items("history.renewing")
        for room, head in seen.items():
            position = positions.get(room.project_id)
            if position and position.epoch == head.epoch and position.last_seq < head.seq:
                with projects.one(project=str(room.project_id)):
                    await epoch.renew(self.database.log, self._bus, room.project_id, head)
                    self._compare_soon()

    async def _complete(self) -> None:
        await self._run_streams.look(self.rooms)

    # ------------------------------------------------------------------ life

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The link, the comparisons, the leases and the wheel, for as long as the process serves."""
        try:
            async with loops.running(self.loops):
                yield
        finally:
            await self.leases.close()

    async def drain(self, seconds: float) -> None:
        """Ends all streams, spread over `seconds`, so that their clients don't return in one wave."""
        self.is_draining = True
        streams = list(self.subscribers.values())
        if not streams:
            return
        steps = max(1, min(len(streams), int(seconds * 20)))
        for number in range(steps):
            for subscriber in streams[number::steps]:
                subscriber.end("shutdown")
            if number + 1 < steps:
                await asyncio.sleep(seconds * 0.8 / steps)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds * 0.2):
                await self._all_gone.wait()
