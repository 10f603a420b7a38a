"""Clients that don't read: they cost the others nothing, lose nothing, and are let go in the end."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from prometheus_client import REGISTRY

from runcast_hub import wire
from runcast_hub.chunks import CHUNK_BYTES
from runcast_server.eventlog.bus import Keys
from runcast_server.process.http_protocol import UNSENT_BYTES
from tests.integration import streams
from tests.integration.streams import Served, stream
from tests.waiting import until

pytestmark = pytest.mark.anyio

EVENT_BYTES = 20_000
EVENTS_PER_COMMIT = 50


@contextlib.asynccontextmanager
async def stalled(served: Served, path: str) -> AsyncIterator[asyncio.StreamReader]:
    """A stream whose client reads nothing until the test does."""
    address = urlsplit(served.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=4096)
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {served.admin_key}\r\n\r\n"
    writer.write(request.encode())
    assert b"200" in await reader.readline()
    try:
        yield reader
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def numbers_of(reader: asyncio.StreamReader, upto: int, kind: bytes = b"x:") -> list[int]:
    """Reads on until the event `upto`; the numbers of all events on the way."""
    found: list[int] = []
    buffer = before = b""
    async with asyncio.timeout(30):
        while not found or found[-1] < upto:
            piece = await reader.read(1 << 16)
            assert piece, "the stream ended"
            buffer += piece
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                # A read may end between the two lines of one frame.
                if before.startswith(b"id: ") and line.startswith(b"event: " + kind):
                    found.append(int(before[4:]))
                before = line
    return found


def counted(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


async def test_a_stalled_client_loses_nothing_and_holds_nobody_up(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url, hub_memory_mb=2) as served:
        project_id = await served.project()
        path = f"/projects/{project_id}/events"
        slow_before = counted("runcast_hub_slow_total")
        async with stalled(served, path) as sleeper, stream(served, path) as healthy:
            await healthy.until(lambda r: len(r.frames) >= 2)
            for _ in range(20):
                await served.emit(project_id, EVENTS_PER_COMMIT, size=EVENT_BYTES)
            total = 20 * EVENTS_PER_COMMIT
            await healthy.until(lambda r: r.ids == list(range(1, total + 1)))
            assert counted("runcast_hub_slow_total") > slow_before
            assert await numbers_of(sleeper, total) == list(range(1, total + 1))
            await served.emit(project_id)
            assert await numbers_of(sleeper, total + 1) == [total + 1]


@pytest.mark.parametrize("where", ["live", "ring", "postgres", "backfill"])
async def test_a_client_that_reads_nothing_is_owed_one_chunk(
    database_url: str, redis_url: str, where: str
) -> None:
    """From wherever its next bytes come, and however long a frame is."""
    memory_mb = {"ring": 64}.get(where, 1)
    async with streams.hub(database_url, redis_url, hub_memory_mb=memory_mb) as served:
        project_id = await served.project()
        run_id = await served.run(project_id)

        async def write() -> None:
            for size in (60_000, 200_000, 20_000):
                await served.lines(project_id, run_id, 40, size=size)

        async with stream(
            served, f"/projects/{project_id}/events?subscribe_logs={run_id}"
        ) as healthy:
            await healthy.until(lambda r: len(r.frames) >= 2)
            if where != "live":
                await write()
            if where == "postgres":
                await served.resources.bus.client.delete(Keys.of(project_id).stream)
            begins = {"live": "", "backfill": "&log_tail=120"}.get(where, "&last_event_id=0")
            path = f"/projects/{project_id}/events?subscribe_logs={run_id}{begins}"
            async with stalled(served, path) as sleeper:
                await until(lambda: len(served.hub.subscribers) == 2, "both streams")
                if where == "live":
                    await write()
                await healthy.until(lambda r: r.ids == list(range(1, 121)))
                stuck = list(served.hub.subscribers.values())[-1]
                owed = 0

                def is_stuck() -> bool:
                    nonlocal owed
                    owed = max(owed, stuck.outlet.transport.get_write_buffer_size())
                    return stuck.outlet.flow.write_paused and owed > 0

                await until(is_stuck, "its socket to be full")
                for _ in range(20):
                    await asyncio.sleep(0.005)
                    assert is_stuck()
                assert owed <= CHUNK_BYTES + UNSENT_BYTES + 100
                if where == "backfill":
                    await served.emit(project_id)
                    assert await numbers_of(sleeper, 121) == [121]
                else:
                    assert await numbers_of(sleeper, 120, b"agent:log") == list(range(1, 121))


async def test_a_client_may_jump_to_the_present_instead(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url, event_channel_buffer=100) as served:
        project_id = await served.project()
        await served.emit(project_id, 500)
        path = f"/projects/{project_id}/events?last_event_id=1&on_lag=skip"
        async with stream(served, path) as reader:
            await reader.until(lambda r: len(r.of("gap")) == 1)
            [gap] = reader.of("gap")
            assert (gap.id, gap.data["from"], gap.data["to"]) == (500, 2, 500)
            assert gap.data["reason"] == "lag"
            await served.emit(project_id)
            await reader.until(lambda r: r.ids == [501])


async def test_a_client_that_takes_nothing_for_too_long_is_let_go(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "WRITE_SECONDS", 0.5)
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        path = f"/projects/{project_id}/events"
        async with stalled(served, path), stream(served, path) as healthy:
            await healthy.until(lambda r: len(r.frames) >= 2)
            for _ in range(10):
                await served.emit(project_id, EVENTS_PER_COMMIT, size=EVENT_BYTES)
            await healthy.until(lambda r: r.ids[-1:] == [10 * EVENTS_PER_COMMIT])
            await until(
                lambda: counted("runcast_hub_connections") == 1, "the stalled one is let go"
            )
            await served.emit(project_id)
            await healthy.until(lambda r: r.ids[-1:] == [10 * EVENTS_PER_COMMIT + 1])


async def test_a_token_s_end_is_the_stream_s_end(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        token = served.token("ada", role="admin", exp=int(time.time()) + 2)
        async with stream(served, f"/projects/{project_id}/events", token=token) as reader:
            await reader.ended()
            assert reader.frames[-1].data == {"reason": "token_expired"}


async def test_a_delivery_to_a_reading_client_never_suspends(
    database_url: str, redis_url: str
) -> None:
    """Whatever wraps `send` between the server and the hub would make every delivery suspend."""
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        async with stream(served, f"/projects/{project_id}/events") as reader:
            await reader.until(lambda r: len(r.frames) >= 2)
            before = counted("runcast_hub_slow_total")
            for number in range(1, 31):
                await served.emit(project_id)
                await reader.until(lambda r, n=number: r.ids[-1:] == [n])
            assert counted("runcast_hub_slow_total") == before
