"""Rooms under any interleaving of opening, closing and publishing: whoever is in a room hears everything.

Postgres and Redis are lists here, and each of their answers takes a few turns of the event loop, as the
seed says. There is no comparison with Postgres, which would hide a room that is not fed.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any
from uuid import UUID

import pytest
from tests import chained

from runcast_hub import rooms
from runcast_hub.filters import Filter
from runcast_hub.ring import Budget
from runcast_hub.room import Room
from runcast_hub.rooms import Rooms
from runcast_server.eventlog import chains, frames
from runcast_server.eventlog.chains import Chain
from runcast_server.eventlog.erasure import REDACTED
from runcast_server.eventlog.frames import Block
from runcast_server.eventlog.history import Page, Position

INTERLEAVINGS = 10_000
PROJECT = UUID(int=1)


class World:
    """One project's Postgres and Redis, and the streams that come and go."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.head = 0
        self.is_subscribed = False
        self.viewers: list[Room] = []
        budget = Budget(1 << 20)
        history: Any = self
        self.rooms = Rooms(self, self, lambda id: Room(id, history, budget, 100))

    async def turns(self) -> None:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)

    async def subscribe(self, _: UUID) -> bool:
        await self.turns()
        self.is_subscribed = True
        await self.turns()
        return True

    def unsubscribe(self, _: UUID) -> None:
        self.is_subscribed = False

    async def ask(self, _: UUID) -> Position:
        await self.turns()
        position = Position(1, self.head, 0)
        await self.turns()
        return position

    async def blocks(self, _: UUID, epoch: int, after: int, upto: int) -> list[Block]:
        await self.turns()
        return [chained.block(epoch, after + 1, [frames.event("x:a", {})] * (upto - after))]

    async def view(self) -> None:
        """A stream: it is opened, stays a while, and checks that its room kept up."""
        await self.turns()
        async with self.rooms.opened(PROJECT) as room:
            await self.turns()
            stream: Any = Stream()
            room.enter(stream)
        self.viewers.append(room)
        for _ in range(self.chance.randrange(3)):
            await self.turns()
        self.viewers.remove(room)
        room.leave(stream)

    async def publish(self) -> None:
        await self.turns()
        self.head += 1
        chain = chained.chain(1, self.head, [frames.event("x:a", {})])
        if self.is_subscribed:
            self.rooms.receive(PROJECT, chain)

    async def close(self) -> None:
        await self.turns()
        await self.rooms.close_idle()

    async def run(self) -> None:
        steps = [self.chance.choice((self.view, self.publish, self.close)) for _ in range(12)]
        steady = asyncio.create_task(self.stay())
        await asyncio.gather(*(step() for step in steps))
        await steady

    async def stay(self) -> None:
        """A stream that is there at the end, when everything has settled."""
        await self.turns()
        async with self.rooms.opened(PROJECT) as room:
            stream: Any = Stream()
            room.enter(stream)
        self.viewers.append(room)
        for _ in range(40):
            await asyncio.sleep(0)
        assert room is self.rooms.get(PROJECT), "it sits in a room that nobody feeds"
        assert not room.is_closed
        assert stream.ending is None
        assert room.delivered == self.head, f"{room.delivered} of {self.head} events"
        room.leave(stream)


class Stream:
    """As much of a subscriber as a room sees of it."""

    takes_frames = False

    def __init__(self) -> None:
        self.filter = Filter()
        self.ending: str | None = None

    def end(self, reason: str) -> None:
        self.ending = reason

    def wake(self) -> None:
        pass


def test_no_interleaving_leaves_a_stream_in_a_room_that_nobody_feeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rooms, "LINGER_SECONDS", 0.0)

    async def all_of_them() -> None:
        for seed in range(INTERLEAVINGS):
            try:
                await World(seed).run()
            except Exception as error:
                raise AssertionError(f"seed {seed}: {error}") from error

    asyncio.run(all_of_them())


class Slow:
    """A source whose reads are under way until they are let end."""

    def __init__(self) -> None:
        self.asked, self.may_end = asyncio.Event(), asyncio.Event()
        self.kept_pages: list[Any] = []

    async def chains_before(self, _: UUID, epoch: int, first: int) -> list[Chain]:
        self.asked.set()
        await self.may_end.wait()
        return [chained.chain(epoch, 1, [frames.event("x:secret", {})] * (first - 1))]

    async def page(self, *_: Any) -> Page:
        return Page(b"", 3)

    def kept(self, _: Any) -> None:
        return None

    def keep(self, _: Any, page: Page) -> None:
        self.kept_pages.append(page)

    def forget(self, _: UUID) -> None:
        self.kept_pages.clear()


@pytest.mark.parametrize("is_erased", [False, True])
def test_what_was_read_before_an_erasure_is_not_kept(is_erased: bool) -> None:
    async def erase_meanwhile() -> None:
        source: Any = Slow()
        room = Room(PROJECT, source, Budget(1 << 20), 100)
        room.start(Position(1, 3, 0))
        reading = asyncio.create_task(room.read(0, Filter()))
        await source.asked.wait()
        if is_erased:
            room.receive(chained.chain(1, 4, [frames.event(REDACTED, {})]))
        source.may_end.set()
        await reading
        assert (room._ring.first == 1) is not is_erased

    asyncio.run(erase_meanwhile())


class Truth(Slow):
    """A source that has every event."""

    async def blocks(self, _: UUID, epoch: int, after: int, upto: int) -> list[Block]:
        return [chained.block(epoch, after + 1, [frames.event("x:a", {})] * (upto - after))]


def test_a_live_message_that_was_damaged_is_fetched() -> None:
    async def receive() -> None:
        source: Any = Truth()
        room = Room(PROJECT, source, Budget(1 << 20), 100)
        room.start(Position(1, 3, 0))
        sent = chained.chain(1, 4, [frames.event("x:a", {})] * 2)
        broken = [one._replace(body=b"x:a }" + one.body[5:]) for one in sent.segments]
        assert room.receive(chains.of(1, broken))
        assert room.head == 3
        for _ in range(3):
            await asyncio.sleep(0)
        assert (room.head, room.delivered) == (5, 5)
        assert b"event: gap" not in (await room.read(3, Filter())).data

    asyncio.run(receive())
