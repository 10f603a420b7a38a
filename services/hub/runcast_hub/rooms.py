"""The rooms of a hub: opened for their first stream, closed some seconds after the last one left.

A room is opened by subscribing first and asking Postgres for the head then, so that no event can fall
between the two. A stream counts from the moment at which it asks for its room, long before its first byte
is sent: otherwise a room could be closed under a stream that is being opened, which would then never hear
of an event again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol
from uuid import UUID

from runcast_hub import metrics
from runcast_hub.room import Room
from runcast_server.eventlog.bus import Message
from runcast_server.eventlog.history import Position

LINGER_SECONDS = 10.0
"""How long a room without streams is kept: a page that is reloaded finds it."""


class Channels(Protocol):
    """Where live messages come from."""

    async def subscribe(self, project_id: UUID) -> bool: ...

    def unsubscribe(self, project_id: UUID) -> None: ...


class Positions(Protocol):
    """What Postgres says of a project."""

    async def ask(self, question: UUID) -> Position: ...


class Rooms:
    """The open rooms by project. Everything happens in the event loop's thread."""

    def __init__(
        self, channels: Channels, positions: Positions, make: Callable[[UUID], Room]
    ) -> None:
        self._channels = channels
        self._positions = positions
        self._make = make
        self._rooms: dict[UUID, Room] = {}
        self._opening: dict[UUID, asyncio.Task[Room]] = {}
        self._early: dict[UUID, Message] = {}
        """The newest message of each room that is being opened: Postgres may have answered before it."""

    def __iter__(self) -> Iterator[Room]:
        return iter(list(self._rooms.values()))

    def get(self, project_id: UUID) -> Room | None:
        """The project's room, if it is open."""
        return self._rooms.get(project_id)

    def receive(self, project_id: UUID, message: Message) -> bool:
        """Hands a live message to its room. False for a message of another history, late or new."""
        room = self._rooms.get(project_id)
        if room is not None:
            return room.receive(message)
        if project_id in self._opening:
            self._early[project_id] = message
        return True

    @contextlib.asynccontextmanager
    async def opened(self, project_id: UUID) -> AsyncIterator[Room]:
        """The project's room, opened if need be, and not closed while the block lasts. A stream that is to
        live longer enters it within the block. Raises `NotFound`, `Unavailable`."""
        room = await self._find(project_id)
        room.hold()
        try:
            yield room
        finally:
            room.let_go()

    async def _find(self, project_id: UUID) -> Room:
        while True:
            room = self._rooms.get(project_id) or await self._opened_once(project_id)
            if not room.is_closed:
                return room

    async def _opened_once(self, project_id: UUID) -> Room:
        """Opens the room, once for all who ask for it meanwhile; one who gives up disturbs no one else."""
        opening = self._opening.get(project_id)
        if opening is None:
            opening = self._opening[project_id] = asyncio.create_task(self._open(project_id))
            opening.add_done_callback(_look_at)
        return await asyncio.shield(opening)

    async def _open(self, project_id: UUID) -> Room:
        try:
            await self._channels.subscribe(project_id)
            position = await self._positions.ask(project_id)
        except BaseException:
            self._channels.unsubscribe(project_id)
            raise
        else:
            room = self._rooms[project_id] = self._make(project_id)
            room.start(position)
            if (early := self._early.get(project_id)) is not None:
                room.receive(early)
            metrics.ROOMS.set(len(self._rooms))
            return room
        finally:
            del self._opening[project_id]
            self._early.pop(project_id, None)

    async def close_idle(self) -> None:
        """Closes the rooms that have had no stream for `LINGER_SECONDS`. Looks and closes in one go: a
        stream that comes later finds the room gone, and opens another one."""
        now = time.monotonic()
        for room in self:
            if room.is_idle(now - LINGER_SECONDS):
                del self._rooms[room.project_id]
                room.close()
                self._channels.unsubscribe(room.project_id)
        metrics.ROOMS.set(len(self._rooms))


def _look_at(opening: asyncio.Task[Room]) -> None:
    """Takes note of what it raised: everyone who asked may have gone."""
    if not opening.cancelled():
        opening.exception()
