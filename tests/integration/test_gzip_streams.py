"""Streams in gzip: the same frames, fewer bytes, and a file that is whole when the stream says its end."""

import contextlib
import gzip
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest

from runcast_hub.group import Group
from tests.integration import streams
from tests.integration.streams import Reader, Served, stream
from tests.waiting import until

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def readers(served: Served, path: str, count: int) -> AsyncIterator[list[Reader]]:
    """As many streams in gzip, and the last one without."""
    async with contextlib.AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(
                stream(served, path, coding="gzip" if number + 1 < count else "identity")
            )
            for number in range(count)
        ]
        for reader in opened:
            await reader.until(lambda r: len(r.frames) >= 2)
        yield opened


async def test_frames_are_those_of_a_plain_stream_whoever_comes_and_goes(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url, sse_heartbeat_interval_s=1) as served:
        project_id = await served.project()
        run_id = await served.run(project_id)
        path = f"/projects/{project_id}/events?subscribe_logs=all"
        async with readers(served, path, 4) as (first, second, third, plain):
            assert first.response.headers["content-encoding"] == "gzip"
            assert "content-encoding" not in plain.response.headers
            assert first.response.headers["vary"] == "Accept-Encoding"
            for number in range(30):
                await served.lines(project_id, run_id, 1 + number % 3, size=60)
                if number == 10:
                    async with stream(served, path, last_event_id="0", coding="gzip") as late:
                        await late.until(lambda r: len(r.ids) >= 20)
                        await served.emit(project_id)
                        await late.until(lambda r: r.ids[-1] == 22)
            # More than a socket takes at once: each reads on alone, and is live again.
            await served.emit(project_id, 40, size=60_000)
            await served.emit(project_id)
            last = 30 * 2 + 1 + 41
            for reader in (first, second, third, plain):
                await reader.until(lambda r: bool(r.ids) and r.ids[-1] == last)
                await reader.until(lambda r: r.frames[-1].raw == b": hb\nid: %d\n\n" % last)
            events = [frame.raw for frame in plain.frames if frame.event]
            for reader in (first, second, third):
                assert [f.raw for f in reader.frames if f.event][1:] == events[1:]


async def test_a_stream_that_says_bye_is_a_whole_file(database_url: str, redis_url: str) -> None:
    """Its foot holds a checksum of all that this one connection was sent, in common and alone."""
    async with streams.hub(database_url, redis_url) as served:
        ids = [await served.project(), await served.project()]
        paths = [f"/projects/{ids[0]}/events", f"/events?projects={ids[0]},{ids[1]}"]
        headers = {"Authorization": f"Bearer {served.admin_key}", "Accept-Encoding": "gzip"}
        async with (
            httpx.AsyncClient(base_url=served.url, headers=headers, timeout=20) as client,
            client.stream("GET", paths[0]) as one,
            client.stream("GET", paths[1]) as several,
            stream(served, paths[1], coding="gzip") as watched,
        ):
            await until(lambda: len(served.hub.subscribers) == 3, "all streams")
            for number in range(20):
                await served.emit(ids[number % 2], size=200)
            await watched.until(lambda r: len(r.of("x:test")) == 20)
            for held in list(served.hub.subscribers.values()):
                held.end("revoked")
            for answer, count in ((one, 10), (several, 20)):
                raw = b"".join([piece async for piece in answer.aiter_raw()])
                whole = gzip.decompress(raw)
                assert whole.count(b"event: x:test") == count
                assert b"event: bye" in whole
                assert zlib.decompressobj(31).decompress(raw) == whole


async def test_gzip_is_sent_to_those_who_take_it(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        for accepted, coding in (
            ("gzip", "gzip"),
            ("gzip, deflate, br, zstd", "gzip"),
            ("br;q=1.0, GZIP;q=0.2", "gzip"),
            ("*", "gzip"),
            ("gzip;q=0", None),
            ("gzip;q=0.5, identity", None),
            ("br, zstd", None),
            ("identity", None),
            ("", None),
        ):
            for path in (f"/projects/{project_id}/events", f"/events?projects={project_id}"):
                async with stream(served, path, coding=accepted) as reader:
                    await reader.until(lambda r: bool(r.of("connected")))
                    assert reader.response.headers.get("content-encoding") == coding, accepted


async def test_a_chunk_is_compressed_once_for_all(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lone events are small only beside those before them, which all who are live were sent."""
    written: list[tuple[int, int]] = []
    write = Group.write

    def noting(self: Group, data: bytes) -> tuple[int, int]:
        count, size = write(self, data)
        if count:
            written.append((count * len(data), size))
        return count, size

    monkeypatch.setattr(Group, "write", noting)
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        run_id = await served.run(project_id)
        path = f"/projects/{project_id}/events?subscribe_logs=all"
        async with contextlib.AsyncExitStack() as stack:
            opened = [
                await stack.enter_async_context(stream(served, path, coding="gzip"))
                for _ in range(8)
            ]
            for reader in opened:
                await reader.until(lambda r: len(r.frames) >= 2)
            for number in range(30):
                await served.lines(project_id, run_id, size=80)
                await opened[0].until(lambda r, n=number: len(r.ids) > n)  # type: ignore[misc]
        alone = [size / plain for plain, size in written[3:]]
        assert max(alone) < 0.3
        listed = served.hub.subscribers
        await until(lambda: not listed, "all to end")
