"""The life of rooms: a stream counts from its opening, and no channel is left unsubscribed."""

from __future__ import annotations

import asyncio

import pytest

from runcast_hub import hub, rooms
from runcast_server.eventlog.bus import Keys
from tests.integration import streams
from tests.integration.streams import Served, stream
from tests.integration.test_slow_streams import counted, numbers_of, stalled
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def listeners(served: Served, channel: str) -> int:
    [(_, number)] = await served.resources.bus.client.pubsub_shardnumsub(channel)
    return int(number)


async def test_a_first_viewer_who_reads_slowly_gets_every_event(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rooms were closed under streams whose backfill took longer than a room lingers."""
    monkeypatch.setattr(rooms, "LINGER_SECONDS", 0.0)
    monkeypatch.setattr(hub, "CLOSE_SECONDS", 0.01)
    closings = 0
    close_idle = rooms.Rooms.close_idle

    async def counting(self: rooms.Rooms) -> None:
        nonlocal closings
        await close_idle(self)
        closings += 1

    monkeypatch.setattr(rooms.Rooms, "close_idle", counting)
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        run_id = await served.run(project_id)
        for _ in range(8):
            await served.lines(project_id, run_id, 1000, size=2000)
        path = f"/projects/{project_id}/events?subscribe_logs={run_id}&log_tail=8000"
        async with stalled(served, path) as viewer:
            before = closings
            await until(lambda: closings > before + 10, "rooms to be looked at while it is opened")
            assert counted("runcast_hub_rooms") == 1
            await served.emit(project_id, 10)
            assert (await numbers_of(viewer, 8010)) == list(range(8001, 8011))
        await until(lambda: counted("runcast_hub_rooms") == 0, "the room to be closed")
        channel = Keys.of(project_id).live

        async def is_left() -> bool:
            return await listeners(served, channel) == 0

        await until(is_left, "its channel to be given back")
        # The room that is opened next is fed again.
        async with stream(served, f"/projects/{project_id}/events") as reader:
            await reader.until(lambda r: len(r.frames) >= 2)
            await served.emit(project_id)
            await reader.until(lambda r: r.ids == [8011])


async def test_a_room_on_whose_channel_nothing_comes_is_subscribed_again(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "COMPARE_SECONDS", 0.2)
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        channel = Keys.of(project_id).live
        async with stream(served, f"/projects/{project_id}/events") as reader:
            await reader.until(lambda r: len(r.frames) >= 2)
            assert await listeners(served, channel) == 1
            # Redis forgets the subscription, and the link stays as it is.
            [node] = served.hub.link._nodes.values()
            wanted, sent, node._sent = node._wanted, node._sent, {channel}
            node.want([])

            async def is_forgotten() -> bool:
                return await listeners(served, channel) == 0

            await until(is_forgotten, "Redis to forget")
            node._wanted, node._sent = wanted, sent
            emitted = 0

            async def is_heard() -> bool:
                nonlocal emitted
                emitted += 1
                await served.emit(project_id)
                await reader.until(lambda r: r.ids[-1:] == [emitted])
                return await listeners(served, channel) == 1

            await until(is_heard, "the channel to be subscribed again")
            assert reader.ids == list(range(1, emitted + 1))
            assert node.is_up


async def test_rooms_opened_while_the_link_connects_are_subscribed(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_ids = [await served.project() for _ in range(40)]
        link = served.hub.link

        async def open_one(project_id: object, delay: float) -> None:
            await asyncio.sleep(delay)
            async with stream(served, f"/projects/{project_id}/events") as reader:
                await reader.until(lambda r: len(r.frames) >= 2)
                await all_open.wait()

        all_open = asyncio.Event()
        opened = asyncio.gather(
            *(open_one(each, number * 0.005) for number, each in enumerate(project_ids))
        )
        for _ in range(4):
            # Ends every pub/sub connection: the link is made again while rooms are being opened.
            await served.resources.bus.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await asyncio.sleep(0.05)
        await until(lambda: counted("runcast_hub_connections") == 40, "all streams to be open")
        await until(lambda: link.is_up, "the link to be up")

        async def all_heard() -> bool:
            found = [await listeners(served, Keys.of(each).live) for each in project_ids]
            return found == [1] * len(project_ids)

        await until(all_heard, "every room's channel to be subscribed")
        all_open.set()
        await opened
