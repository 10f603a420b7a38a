"""A connection of the hub to a Redis server: it is made again whatever ends it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis.asyncio as redis
from tests.waiting import until

from runcast_hub.node_link import Ears, NodeLink
from runcast_server import loops
from runcast_server.loops import Loop

pytestmark = pytest.mark.anyio


class Redis:
    """Breaks the first connections, each in its own way; then echoes what is published."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.client = self
        self.connections = 0

    def connect(self) -> Redis:
        self.connections += 1
        return self

    def pubsub(self) -> Redis:
        return self

    async def ssubscribe(self, *channels: str) -> None:
        if self.errors:
            raise self.errors.pop(0)
        for channel in channels:
            await self.messages.put({"type": "ssubscribe", "channel": channel.encode()})

    async def sunsubscribe(self, *channels: str) -> None:
        for channel in channels:
            await self.messages.put({"type": "sunsubscribe", "channel": channel.encode()})

    async def expire(self, key: str, seconds: int) -> None:
        pass

    async def spublish(self, channel: str, data: bytes) -> None:
        message = {"type": "smessage", "channel": channel.encode(), "data": data}
        await self.messages.put(message)

    async def get_message(self, **_: float) -> dict[str, Any] | None:
        return await self.messages.get()

    async def aclose(self) -> None:
        pass


class Told:
    """What a link said."""

    def __init__(self) -> None:
        self.confirmed: list[str] = []
        self.lost: list[str] = []
        self.connected = asyncio.Event()
        self.ears = Ears(
            self.confirmed.append,
            self.lost.append,
            lambda *_: None,
            self.connected.set,
            lambda: None,
        )


async def test_whatever_a_connection_raises_it_is_made_again() -> None:
    """uvloop raises a plain RuntimeError where a connection is closed while redis-py writes to it."""
    server, told = (
        Redis(
            redis.ConnectionError(),
            OSError(),
            TimeoutError(),
            RuntimeError("the handler is closed"),
        ),
        Told(),
    )
    link = NodeLink(server.connect, lambda: "h:0", told.ears)
    loop = Loop("redis", link.run, 0.0, limit_seconds=None)
    async with asyncio.timeout(10), loops.running([loop]):
        await told.connected.wait()
        assert link.is_up
        assert server.connections == 5


async def test_a_channel_that_the_server_takes_away_is_lost_and_one_given_back_is_not() -> None:
    server, told = Redis(), Told()
    link = NodeLink(server.connect, lambda: "h:0", told.ears)
    link.want(["taken", "kept", "given back"])
    loop = Loop("redis", link.run, 0.0, limit_seconds=None)
    async with loops.running([loop]):
        await until(lambda: len(told.confirmed) == 3)
        link.remove("given back")
        await server.sunsubscribe("taken")
        await until(lambda: told.lost)
        link.add("given back")
        await until(lambda: told.confirmed.count("given back") == 2)
    assert told.lost == ["taken"]
    assert not link.wants("taken")
    assert told.confirmed.count("taken") == 1
