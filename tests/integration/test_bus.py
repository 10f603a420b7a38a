"""Redis as a process uses it: more calls at once than there are connections."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from runcast_server.eventlog import bus as bus_module
from runcast_server.eventlog import frames
from runcast_server.eventlog.bus import Bus, Keys
from runcast_server.redis_access.clients import CONNECTIONS
from tests import chained

pytestmark = pytest.mark.anyio


async def test_calls_beyond_the_connections_wait_and_none_fails(redis_url: str) -> None:
    """One commit may hold events of 1,000 projects, and each is published by itself."""
    bus = Bus(redis_url)
    chain = chained.chain(7, 1, [frames.event("x:a", {})])
    project_ids = [uuid4() for _ in range(10 * CONNECTIONS)]
    try:
        await asyncio.gather(*(bus.seed(each, 7, 0) for each in project_ids))
        outcomes = await asyncio.gather(*(bus.publish(each, chain) for each in project_ids))
        assert {outcome.verdict for outcome in outcomes} == {"published"}
        assert len(await bus.client.client_list(_type="normal")) <= 2 * CONNECTIONS
    finally:
        await bus.close()


async def test_a_stream_that_was_evicted_alone_fills_up_again(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`volatile-*` may evict the stream and leave the head, which counts the stream's bytes."""
    monkeypatch.setattr(bus_module, "STREAM_BYTES", 2_000)
    bus, project_id = Bus(redis_url), uuid4()
    try:
        await bus.seed(project_id, 7, 0)

        async def length_after(first: int, last: int) -> int:
            for seq in range(first, last + 1):
                chain = chained.chain(7, seq, [frames.event("x:a", {"fill": "x" * 200})])
                assert (await bus.publish(project_id, chain)).verdict == "published"
            return int(await bus.client.xlen(Keys.of(project_id).stream))

        full = await length_after(1, 20)
        assert full > 2
        await bus.client.delete(Keys.of(project_id).stream)
        assert await length_after(21, 40) == full
    finally:
        await bus.close()
