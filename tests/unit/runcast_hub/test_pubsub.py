"""The hub's link to Redis: made anew whatever ends it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis.asyncio as redis

from runcast_hub.pubsub import Link
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

    def dedicated(self, *, block_seconds: float) -> Redis:
        self.connections += 1
        return self

    def pubsub(self) -> Redis:
        return self

    async def ssubscribe(self, *channels: str) -> None:
        if self.errors:
            raise self.errors.pop(0)
        for channel in channels:
            await self.messages.put({"type": "ssubscribe", "channel": channel.encode()})

    async def spublish(self, channel: str, data: bytes) -> None:
        message = {"type": "smessage", "channel": channel.encode(), "data": data}
        await self.messages.put(message)

    async def get_message(self, **_: float) -> dict[str, Any] | None:
        return await self.messages.get()

    async def aclose(self) -> None:
        pass


async def test_whatever_a_connection_raises_the_link_is_made_anew() -> None:
    """uvloop raises a plain RuntimeError where a connection is closed while redis-py writes to it."""
    bus: Any = Redis(
        redis.ConnectionError(), OSError(), TimeoutError(), RuntimeError("the handler is closed")
    )
    connected = asyncio.Event()
    made = Link(bus, "h", lambda *_: None, lambda _: None, connected.set)
    loop = Loop("redis", made.run, 0.0, limit_seconds=None)
    async with asyncio.timeout(10), loops.running([loop]):
        await connected.wait()
        assert made.is_up
        assert bus.connections == 5
