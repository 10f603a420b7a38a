"""Redis as a process uses it: more calls at once than there are connections."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from runcast_server.eventlog import frames
from runcast_server.eventlog.bus import CONNECTIONS, Bus

pytestmark = pytest.mark.anyio


async def test_calls_beyond_the_connections_wait_and_none_fails(redis_url: str) -> None:
    """One commit may hold events of 1,000 projects, and each is published by itself."""
    bus = Bus(redis_url)
    block = frames.build(7, 1, [frames.event("x:a", {})])
    project_ids = [uuid4() for _ in range(10 * CONNECTIONS)]
    try:
        await asyncio.gather(*(bus.seed(each, 7, 0) for each in project_ids))
        outcomes = await asyncio.gather(*(bus.publish(each, block) for each in project_ids))
        assert {outcome.verdict for outcome in outcomes} == {"published"}
        assert len(await bus.client.client_list(_type="normal")) <= 2 * CONNECTIONS
    finally:
        await bus.close()
