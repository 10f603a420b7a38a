"""Redis restarted, emptied, paused, gone for half a minute, cut and failed over: live streams stay open,
and miss nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.acceptance.faults import Stage, reading, running, stage
from tests.torture.cluster import Cluster
from tests.torture.faults import overflow
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

OUTAGE_SECONDS = 30.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running(apis=1, hubs=2, tailers=0) as cluster:
        yield cluster


@pytest.fixture
async def here(cluster: Cluster) -> AsyncIterator[Stage]:
    async with stage(cluster) as made:
        yield made


async def test_a_restart_ends_no_stream(here: Stage) -> None:
    reader = here.reader()
    async with reading(reader):
        await here.write(10)
        await asyncio.to_thread(here.cluster.redis.primary.stop)
        await here.write(10)
        await asyncio.to_thread(here.cluster.redis.primary.start)
        await here.write(10)
        await here.is_whole()
    assert reader.history.connections == 1


async def test_an_emptied_redis_is_filled_from_what_postgres_knows(here: Stage) -> None:
    reader = here.reader()
    async with reading(reader):
        for _ in range(5):
            await here.write(20)
            with here.cluster.redis.primary.client() as client:
                client.flushall()
            await here.write(20)
        await here.delivered()
        await here.is_whole()
    assert reader.history.connections == 1


async def test_a_paused_redis_delays_and_loses_nothing(here: Stage) -> None:
    reader = here.reader()
    node = here.cluster.redis.primary
    async with reading(reader):
        await here.write(10)
        assert node.child is not None
        node.child.send_signal(signal.SIGSTOP)
        try:
            await here.write(10)
            await here.delivered()  # from Postgres, without Redis
        finally:
            node.child.send_signal(signal.SIGCONT)
        await here.write(10)
        await here.is_whole()
    assert reader.history.connections == 1


async def test_half_a_minute_without_redis_is_late_and_said(here: Stage) -> None:
    """Events arrive by the slower beat, new streams are opened, `/ready` stays 200 and says why."""
    early, late = here.reader("early"), here.reader("late")
    hub = here.cluster.hubs[0]
    async with reading(early):
        await here.write(10)
        here.cluster.redis.primary.kill()
        began = asyncio.get_running_loop().time()
        try:
            await until(lambda: _is_degraded(here), "the hub says that Redis is away")
            async with reading(late):
                while asyncio.get_running_loop().time() - began < OUTAGE_SECONDS:
                    await here.write(10)
                    await here.delivered()
                    assert (await here.ready(hub))[0] == 200
        finally:
            await asyncio.to_thread(here.cluster.redis.primary.start)
        here.readers.remove(late)
        await until(lambda: _is_whole(here), "the hub has its link again")
        await here.write(10)
        await here.delivered()
        await here.is_whole()
    assert early.history.connections == 1


async def _is_degraded(here: Stage) -> bool:
    status, told = await here.ready(here.cluster.hubs[0])
    return status == 200 and "redis" in told["degraded"]


async def _is_whole(here: Stage) -> bool:
    status, told = await here.ready(here.cluster.hubs[0])
    return status == 200 and not told.get("degraded")


async def test_a_link_that_redis_cuts_for_its_buffer_is_made_anew(here: Stage) -> None:
    hub = here.cluster.hubs[0]
    reader = here.reader(hubs=[hub])
    async with reading(reader):
        await here.write(10)
        hub.signal(signal.SIGSTOP)
        try:
            cut = await asyncio.to_thread(overflow, here.cluster)
            await here.write(10)
        finally:
            hub.signal(signal.SIGCONT)
        assert cut
        await here.write(10)
        await here.is_whole()


async def test_a_copy_that_lags_takes_over(here: Stage) -> None:
    """Its streams end before what hubs have delivered: nothing is sent twice, nothing is missing."""
    reader = here.reader()
    async with reading(reader):
        for _ in range(2):
            await here.write(50)
            writing = asyncio.create_task(_keep_writing(here, 2.0))
            had, wrote = await asyncio.to_thread(here.cluster.redis.fail_over, 1.0)
            await writing
            assert wrote > had
        await here.delivered()
        await here.is_whole()
    assert reader.history.connections == 1


async def _keep_writing(here: Stage, seconds: float) -> None:
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        await here.write(5)
        await asyncio.sleep(0.02)
