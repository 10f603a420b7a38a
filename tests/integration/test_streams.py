"""Streams of a hub: what the contract's section 4 promises, frame by frame."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from runcast_hub import backfill
from runcast_hub import hub as hub_module
from runcast_hub.filters import Filter
from runcast_hub.history_reader import Source
from runcast_hub.hub import Hub
from runcast_hub.room import Chunk, Room
from runcast_hub.snapshot import MAX_RUNS, RUNS_BYTES
from runcast_server.db import acquire
from runcast_server.eventlog.bus import Keys
from tests.integration import rows, streams
from tests.integration.streams import stream
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_a_stream_begins_with_connected_and_goes_on_live(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project("demo")
        run_id = await served.run(project_id)
        await served.emit(project_id, 3)
        async with stream(served, "/projects/demo/events") as reader:
            await reader.until(lambda r: len(r.frames) >= 2)
            connected = reader.frames[0]
            assert connected.event == "connected"
            assert connected.id is None
            assert connected.data["project_id"] == str(project_id)
            assert connected.data["head"] == 3
            assert connected.data["resumed_from"] is None
            assert [run["id"] for run in connected.data["active_runs"]] == [str(run_id)]
            assert connected.data["heartbeat_s"] == 30
            assert connected.data["timeout_m"] == 60
            await served.emit(project_id, 2)
            await reader.until(lambda r: r.ids == [4, 5])
        assert reader.response.headers["content-type"].startswith("text/event-stream")
        assert reader.response.headers["cache-control"] == "no-store"
        assert reader.response.headers["x-accel-buffering"] == "no"


async def test_connected_is_bounded_and_says_what_it_leaves_out(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        run_id = await served.run(project_id)
        path = f"/projects/{project_id}/events"

        async def connected() -> dict[str, Any]:
            await served.emit(project_id)
            async with stream(served, path) as reader:
                await reader.until(lambda r: len(r.frames) >= 2)
                found: dict[str, Any] = reader.frames[0].data
                return found

        async with acquire(served.resources.database.log) as connection:
            await connection.execute(
                """UPDATE runs SET input = to_json(repeat('x', 1000000)),
                                   metadata = json_build_object('small', true) WHERE id = $1""",
                run_id,
            )
        first = await connected()
        [run] = first["active_runs"]
        assert (run["omitted"], run["metadata"]) == (["input"], {"small": True})
        assert "input" not in run
        assert first["active_runs_complete"] is True
        async with acquire(served.resources.database.log) as connection:
            await connection.execute(
                """INSERT INTO runs (id, project_id, phase, steps, status, started_at)
                   SELECT gen_random_uuid(), $1, 'phase1', '{}', 'running', now()
                   FROM generate_series(1, 1200)""",
                project_id,
            )
        many = await connected()
        assert many["active_runs_complete"] is False
        assert 100 < len(many["active_runs"]) <= MAX_RUNS
        assert len(json.dumps(many["active_runs"])) < 2 * RUNS_BYTES


async def test_log_lines_go_only_to_those_who_asked_for_their_run(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        mine, other = await served.run(project_id), await served.run(project_id)
        base = f"/projects/{project_id}/events"
        async with (
            stream(served, base) as plain,
            stream(served, f"{base}?subscribe_logs={mine}") as one,
            stream(served, f"{base}?subscribe_logs={mine},{other}") as two,
            stream(served, f"{base}?subscribe_logs=all") as everything,
            stream(served, f"/runs/{mine}/stream") as own,
        ):
            readers = (plain, one, two, everything, own)
            for reader in readers:
                await reader.until(lambda r: len(r.frames) >= 2)
            await served.lines(project_id, mine, 2)
            await served.lines(project_id, other, 2)
            await served.emit(project_id)
            await plain.until(lambda r: r.ids == [5])
            await one.until(lambda r: r.ids == [1, 2, 5])
            await two.until(lambda r: r.ids == [1, 2, 3, 4, 5])
            await everything.until(lambda r: r.ids == [1, 2, 3, 4, 5])
            await own.until(lambda r: r.ids == [1, 2])


@pytest.mark.parametrize("where", ["ring", "redis", "postgres"])
@pytest.mark.parametrize("wanted", ["", "&subscribe_logs=all", "&subscribe_logs={run}"])
async def test_a_resumed_stream_has_the_live_stream_s_bytes(
    database_url: str, redis_url: str, where: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with streams.hub(database_url, redis_url, event_channel_buffer=100_000) as served:
        project_id = await served.project()
        run_id = await served.run(project_id)
        path = f"/projects/{project_id}/events?{wanted.format(run=run_id)}"
        # With the first event Redis learns where the project stands; from the second on it has all.
        await served.emit(project_id)
        await until(lambda: known_to_redis(served, project_id), "Redis to know the project")
        async with stream(served, path) as live:
            await live.until(lambda r: len(r.frames) >= 2)
            for _ in range(8):
                await served.emit(project_id, 30, size=200)
                await served.lines(project_id, run_id, 170, size=90)
            await live.until(
                lambda r: r.frames[-1].id == 1601 or (not wanted and r.ids[-1:] == [1431])
            )
            expected = [frame.raw for frame in live.frames if frame.event not in ("connected", "")]
            if where == "ring":
                async with stream(served, path, last_event_id="1") as resumed:
                    await resumed.until(lambda r: r.ids == live.ids)
        if where != "ring":
            if where == "postgres":
                await served.resources.bus.client.delete(Keys.of(project_id).stream)
            else:
                # Nothing but the Redis stream is left.
                monkeypatch.delattr(Source, "page")
            async with (
                streams.hub(database_url, redis_url) as second,
                stream(second, path, last_event_id="1") as resumed,
            ):
                await resumed.until(lambda r: r.ids == live.ids)
        assert [f.raw for f in resumed.frames if f.event not in ("connected", "")] == expected
        assert resumed.frames[0].data["resumed_from"] == 1


async def known_to_redis(served: streams.Served, project_id: UUID) -> bool:
    [head] = await served.resources.bus.heads([project_id])
    return head is not None and head.seq >= 1


async def test_a_stream_resumes_after_any_position(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        for count in (1, 5, 2, 12, 1):
            await served.emit(project_id, count)
        for position in range(22):
            path = f"/projects/{project_id}/events?last_event_id={position}"
            async with stream(served, path) as reader:
                expected = list(range(position + 1, 22))
                await reader.until(lambda r, e=expected: len(r.frames) >= 2 and r.ids == e)
                assert reader.frames[0].data["resumed_from"] == position


async def test_messages_too_large_for_pubsub_are_fetched(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        async with stream(served, f"/projects/{project_id}/events") as reader:
            await reader.until(lambda r: len(r.frames) >= 2)
            await served.emit(project_id, 1, size=100_000)
            await served.emit(project_id, 500, size=1_000)
            await served.emit(project_id, 1)
            await reader.until(lambda r: r.ids == list(range(1, 503)))


async def test_lost_messages_are_noticed_and_filled_in_place(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        async with stream(served, f"/projects/{project_id}/events") as reader:
            await served.emit(project_id)
            await reader.until(lambda r: r.ids == [1])
            # Redis counts event 2 as published, and its message reached nobody.
            keys = Keys.of(project_id)
            await served.resources.bus.client.hset(keys.head, "seq", 2)
            await served.emit(project_id)
            await served.emit(project_id)
            await reader.until(lambda r: r.ids == [1, 2, 3])


async def test_without_redis_events_arrive_from_postgres(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        async with stream(served, f"/projects/{project_id}/events") as reader:
            await served.emit(project_id)
            await reader.until(lambda r: r.ids == [1])
            published = served.log._publisher
            published.add = lambda *_: None  # type: ignore[method-assign]
            await served.emit(project_id, 2)
            await reader.until(lambda r: r.ids == [1, 2, 3])


async def test_without_any_redis_events_arrive_from_postgres(database_url: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"redis://127.0.0.1:{unused.getsockname()[1]}"
        async with streams.hub(database_url, nowhere) as served:
            project_id = await served.project()
            async with stream(served, f"/projects/{project_id}/events") as reader:
                await reader.until(lambda r: len(r.frames) >= 2)
                await served.emit(project_id, 2)
                await reader.until(lambda r: r.ids == [1, 2])


async def test_what_is_committed_beside_the_hub_goes_to_it_without_redis(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        # Nothing but the way inside of the process is left.
        monkeypatch.setattr(Hub, "_on_message", lambda *_: None)
        monkeypatch.setattr(Hub, "compare", lambda _: asyncio.sleep(0))
        async with stream(served, f"/projects/{project_id}/events") as reader:
            elsewhere, beside = served.log, served.resources.eventlog
            served.log = beside
            await served.emit(project_id, 2)
            await served.emit(project_id, 1)
            await reader.until(lambda r: r.ids == [1, 2, 3])
            served.log = elsewhere
            await served.emit(project_id)
            served.log = beside
            await served.emit(project_id)
            # Number 4 is missing, so 5 isn't taken until both can be read.
            monkeypatch.undo()
            await reader.until(lambda r: r.ids == [1, 2, 3, 4, 5])


async def test_positions_of_every_kind_of_wrong(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        path = f"/projects/{project_id}/events"
        for wrong in ("abc", "-1", "1.5", "1e3", " 7 x", "٣"):
            status, problem = await streams.refused(
                served, f"{path}?last_event_id={wrong}", last_event_id=None
            )
            assert (status, problem["errors"][0]["field"]) == (422, "last_event_id")
        status, problem = await streams.refused(served, path, last_event_id="garbage")
        assert (status, problem["errors"][0]["field"]) == (422, "Last-Event-ID")
        await served.emit(project_id, 3)
        for beyond in ("4", "99999999999999999999999999"):
            async with stream(served, path, last_event_id=beyond) as reader:
                await reader.until(lambda r: len(r.frames) >= 3)
                gap = reader.frames[1]
                assert (gap.event, gap.id) == ("gap", 3)
                assert gap.data["reason"] == "ahead_of_head"
                assert gap.data["to"] == 3
                assert gap.data["refetch"]
        async with stream(served, f"{path}?epoch=8&last_event_id=1") as reader:
            await reader.until(lambda r: len(r.frames) >= 2)
            assert reader.frames[1].data["reason"] == "reset"
        async with stream(served, f"{path}?last_event_id=1", last_event_id="2") as reader:
            await reader.until(lambda r: r.ids == [3])


async def test_filters_of_every_kind_of_wrong(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        for wrong in ("nonsense", f"{uuid4()},x", ",".join(str(uuid4()) for _ in range(201))):
            status, problem = await streams.refused(
                served, f"/projects/{project_id}/events?subscribe_logs={wrong}"
            )
            assert (status, problem["errors"][0]["field"]) == (422, "subscribe_logs")
        for query, field in (
            ("log_tail=10001", "log_tail"),
            ("log_tail=x", "log_tail"),
            ("on_lag=y", "on_lag"),
        ):
            status, problem = await streams.refused(
                served, f"/projects/{project_id}/events?{query}"
            )
            assert (status, problem["errors"][0]["field"]) == (422, field)


async def test_who_may_open_a_stream(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project("theirs")
        run_id = await served.run(project_id)
        stranger = served.token("stranger")
        assert (await streams.refused(served, f"/projects/{project_id}/events", token=""))[0] == 401
        assert (await streams.refused(served, f"/projects/{project_id}/events", token="rc_no"))[
            0
        ] == 401
        assert (await streams.refused(served, f"/projects/{project_id}/events", token=stranger))[
            0
        ] == 403
        assert (await streams.refused(served, "/projects/theirs/events", token=stranger))[0] == 404
        assert (await streams.refused(served, f"/runs/{run_id}/stream", token=stranger))[0] == 404
        assert (await streams.refused(served, f"/projects/{uuid4()}/events"))[0] == 404
        assert (await streams.refused(served, f"/runs/{uuid4()}/stream"))[0] == 404


async def test_log_tail_then_live_without_a_seam(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines that come between the stream's cursor and its backfill are live, and no backfill."""
    last_lines = backfill.last_lines
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        run_id = await served.run(project_id)
        await served.lines(project_id, run_id, 1200)

        async def late(*given: Any) -> AsyncIterator[bytes]:
            await _write_lines(served, project_id, run_id, 50)
            async for chunk in last_lines(*given):
                yield chunk

        monkeypatch.setattr(backfill, "last_lines", late)
        path = f"/projects/{project_id}/events?subscribe_logs={run_id}&log_tail=1100"
        async with stream(served, path) as reader:
            await reader.until(lambda r: any(f.id == 1250 for f in r.frames))
            shown = [f.data["line_number"] for f in reader.of("agent:log")]
            assert shown == list(range(101, 1251))
            [told] = reader.of("backfill")
            assert (told.data["from_line"], told.data["to_line"]) == (101, 1200)
            assert told.data["complete"] is False
            assert len([f for f in reader.of("agent:log") if f.id is None]) == 1100


async def _write_lines(served: streams.Served, project_id, run_id, count: int) -> None:
    for _ in range(count):
        await served.lines(project_id, run_id)


async def test_a_heartbeat_moves_the_position_and_dispatches_nothing(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url, sse_heartbeat_interval_s=1) as served:
        project_id = await served.project()
        run_id = await served.run(project_id)
        async with stream(served, f"/projects/{project_id}/events") as reader:
            await served.lines(project_id, run_id, 7)
            await reader.until(lambda r: r.frames[-1].id == 7)
            assert reader.frames[-1].raw == b": hb\nid: 7\n\n"
            assert reader.ids == []


async def test_a_stream_ends_at_its_time_out_with_a_jittered_retry(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url, sse_connection_timeout_m=1 / 60) as served:
        project_id = await served.project()
        retries = set()
        for _ in range(2):
            async with stream(served, f"/projects/{project_id}/events") as reader:
                await reader.ended()
                assert reader.frames[-1].event == "bye"
                assert reader.frames[-1].data == {"reason": "timeout"}
                retries.add(reader.frames[-1].retry)
        assert len(retries) == 2


async def test_a_run_s_stream_ends_when_the_run_is_complete(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        run_id = await served.run(project_id)
        async with stream(served, f"/runs/{run_id}/stream") as reader:
            await served.lines(project_id, run_id, 3)
            async with acquire(served.resources.database.log) as connection:
                await connection.execute(
                    "UPDATE runs SET status = 'completed', finished_at = now() WHERE id = $1",
                    run_id,
                )
            await reader.ended()
            assert reader.ids == [1, 2, 3]
            assert reader.frames[-1].data == {"reason": "complete"}


async def test_a_run_s_stream_ends_after_events_that_it_does_not_have_yet(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is seen to be complete in Postgres before its last lines have come by Redis."""
    monkeypatch.setattr(hub_module, "COMPARE_SECONDS", 3600.0)
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        run_id = await served.run(project_id)
        async with stream(served, f"/runs/{run_id}/stream") as reader:
            await reader.until(lambda r: len(r.frames) >= 2)
            served.log._publisher.add = lambda *_: None  # type: ignore[method-assign]
            await served.lines(project_id, run_id, 3)
            async with acquire(served.resources.database.log) as connection:
                await connection.execute(
                    "UPDATE runs SET status = 'completed', finished_at = now() WHERE id = $1",
                    run_id,
                )
            await reader.ended()
            assert reader.ids == [1, 2, 3]
            assert reader.frames[-1].data == {"reason": "complete"}


async def test_a_filter_takes_effect_at_the_connection_s_own_cursor(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection lags: events between its cursor and the project's head follow the new filter."""
    gate, read = asyncio.Event(), Room.read

    async def gated(self: Room, cursor: int, wanted: Filter) -> Chunk:
        await gate.wait()
        return await read(self, cursor, wanted)

    monkeypatch.setattr(Room, "read", gated)
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        run_id = await served.run(project_id)
        path = f"/projects/{project_id}/events"
        async with (
            stream(served, path) as keeps_the_room,
            httpx.AsyncClient(headers={"Authorization": f"Bearer {served.admin_key}"}) as client,
        ):
            await keeps_the_room.until(lambda r: len(r.frames) >= 2)
            for _ in range(30):
                await served.lines(project_id, run_id, 10, size=2_000)
            async with stream(served, path, last_event_id="0") as reader:
                await reader.until(lambda r: len(r.frames) >= 2)
                connection_id = reader.frames[0].data["connection_id"]
                changing = asyncio.create_task(
                    client.patch(
                        f"{served.url}/connections/{connection_id}",
                        json={"subscribe_logs": "all"},
                    )
                )
                lagging = served.hub.subscribers[connection_id]
                await until(lambda: lagging.pending_filter is not None, "the change to arrive")
                gate.set()
                effective_after = (await changing).json()["effective_after"]
                assert 0 < effective_after < 300
                await reader.until(lambda r: r.ids == list(range(effective_after + 1, 301)))


async def test_draining_says_shutdown_to_every_stream(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        async with (
            stream(served, f"/projects/{project_id}/events") as one,
            stream(served, f"/projects/{project_id}/events") as two,
        ):
            for reader in (one, two):
                await reader.until(lambda r: len(r.frames) >= 2)
            served.stop.set()
            for reader in (one, two):
                await reader.ended()
                assert reader.frames[-1].data == {"reason": "shutdown"}
                assert reader.frames[-1].retry is not None


async def test_the_limit_per_user_counts_over_hubs_and_a_closed_stream_frees_its_place(
    database_url: str, redis_url: str
) -> None:
    async with (
        streams.hub(database_url, redis_url, sse_max_connections_per_user=2) as first,
        streams.hub(database_url, redis_url, sse_max_connections_per_user=2) as second,
    ):
        project_id = await first.project()
        user = first.token("ada", role="admin")
        path = f"/projects/{project_id}/events"
        async with stream(first, path, token=user) as one:
            await one.until(lambda r: len(r.frames) >= 2)
            async with stream(second, path, token=user) as two:
                await two.until(lambda r: len(r.frames) >= 2)
                for served in (first, second):
                    status, problem = await streams.refused(served, path, token=user)
                    assert (status, problem["type"]) == (429, "urn:runcast:problem:limit-reached")
                async with stream(first, path) as key:
                    await key.until(lambda r: len(r.frames) >= 2)
            async with stream(first, path, token=user, last_event_id="0") as again:
                await again.until(lambda r: len(r.frames) >= 2)


async def test_the_limit_holds_when_hundreds_open_at_once_over_two_hubs(
    database_url: str, redis_url: str
) -> None:
    limit = 60
    async with (
        streams.hub(database_url, redis_url, sse_max_connections_per_key=limit) as first,
        streams.hub(database_url, redis_url, sse_max_connections_per_key=limit) as second,
        contextlib.AsyncExitStack() as opened,
    ):
        project_id = await first.project()
        path = f"/projects/{project_id}/events"

        async def status(served: streams.Served) -> int:
            address = urlsplit(served.url)
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            opened.callback(writer.close)
            head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
            writer.write(f"{head}Authorization: Bearer {first.admin_key}\r\n\r\n".encode())
            return int((await reader.readline()).split()[1])

        statuses = await asyncio.gather(*(status((first, second)[n % 2]) for n in range(200)))
        assert sorted(set(statuses)) == [200, 429]
        assert statuses.count(200) == limit
        for served in (first, second):
            assert (await streams.refused(served, path, token=first.admin_key))[0] == 429


async def test_a_redis_that_stands_still_holds_up_neither_openings_nor_a_drain(
    database_url: str, redis_url: str
) -> None:
    """The hub's link, its leases and the drain wait for Redis once, and not one after the other."""
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        path = f"/projects/{project_id}/events"
        user = served.token("ada", role="admin")
        async with stream(served, path, token=user) as before:
            await before.until(lambda r: len(r.frames) >= 2)
            async with (
                redis_standing_still(redis_url),
                stream(served, path, token=user) as during,
            ):
                await during.until(lambda r: len(r.frames) >= 2)
                served.stop.set()
                for reader in (before, during):
                    await reader.ended()
                    assert reader.frames[-1].data == {"reason": "shutdown"}
                async with Redis.from_url(redis_url, socket_timeout=0.1) as impatient:
                    with pytest.raises(RedisTimeoutError):
                        await impatient.ping()


@contextlib.asynccontextmanager
async def redis_standing_still(redis_url: str) -> AsyncIterator[None]:
    """Redis answers nobody for some seconds: longer than a process that is stopped may take to say bye."""
    client = Redis.from_url(redis_url, socket_timeout=60)
    await client.execute_command("CLIENT", "PAUSE", 8_000, "ALL")
    try:
        yield
    finally:
        await client.ping()
        await client.aclose()


async def test_a_lease_from_before_redis_s_clock_went_back_counts_no_more(
    database_url: str, redis_url: str
) -> None:
    """A hub that died left it; by the clock as it is now, it would count for ten hours."""
    async with streams.hub(database_url, redis_url, sse_max_connections_per_user=2) as served:
        project_id = await served.project()
        user = served.token("ada", role="admin")
        path = f"/projects/{project_id}/events"
        redis = served.resources.bus.client
        async with stream(served, path, token=user) as one:
            await one.until(lambda r: len(r.frames) >= 2)
            [key] = [key async for key in redis.scan_iter("runcast:lease:*")]
            ahead = (await redis.time())[0] + 36_000
            await redis.hset(key, "dead", f"2:{ahead}")
            await redis.zadd("runcast:hubs", {"dead": ahead})
            async with stream(served, path, token=user) as two:
                await two.until(lambda r: len(r.frames) >= 2)
                headers = {"Authorization": f"Bearer {user}"}
                # A dead hub that was asked would be waited for.
                async with httpx.AsyncClient(base_url=served.url, timeout=3) as client:
                    assert (await client.get("/connections", headers=headers)).json()["total"] == 2
                assert (await streams.refused(served, path, token=user))[0] == 429


async def test_a_deleted_project_ends_its_streams(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        async with stream(served, f"/projects/{project_id}/events") as reader:
            await reader.until(lambda r: len(r.frames) >= 2)
            async with served.resources.database.changing(rows.ADMIN) as connection:
                await connection.execute("SELECT delete_project($1)", project_id)
            await served.resources.bus.delete(project_id)
            await reader.ended()
            assert reader.frames[-1].data == {"reason": "deleted"}


async def test_a_filter_changes_on_a_live_connection_whichever_hub_is_asked(
    database_url: str, redis_url: str
) -> None:
    async with (
        streams.hub(database_url, redis_url) as holder,
        streams.hub(database_url, redis_url) as other,
    ):
        project_id = await holder.project()
        run_id, late = await holder.run(project_id), await holder.run(project_id)
        await holder.lines(project_id, late, 5)
        async with (
            stream(holder, f"/projects/{project_id}/events") as reader,
            httpx.AsyncClient(headers={"Authorization": f"Bearer {holder.admin_key}"}) as client,
        ):
            await reader.until(lambda r: len(r.frames) >= 2)
            connection = reader.frames[0].data["connection_id"]
            for number, served in enumerate((other, holder)):
                url = f"{served.url}/connections/{connection}"
                wanted = [[str(run_id)], [str(late)]][number]
                answer = await client.patch(
                    url, json={"subscribe_logs": wanted, "backfill_lines": 3}
                )
                assert answer.status_code == 200, answer.text
                assert answer.json()["subscribe_logs"] == wanted
                assert answer.json()["effective_after"] == 5 + 2 * number
                await holder.lines(project_id, run_id, 2)
                # A change counts from what this connection has, so it must have it first.
                await reader.until(lambda r: r.ids == [6, 7])
            await holder.lines(project_id, late, 1)
            await reader.until(lambda r: r.ids == [6, 7, 10])
            shown = [
                f.data["line_number"]
                for f in reader.of("agent:log")
                if f.data["run_id"] == str(late)
            ]
            assert shown == [3, 4, 5, 6]
            answer = await client.patch(
                f"{other.url}/connections/{connection}", json={"subscribe_logs": "all"}
            )
            assert answer.json() == {"subscribe_logs": "all", "effective_after": 10}
            [listed] = (await client.get(f"{other.url}/connections")).json()["connections"]
            assert listed["connection_id"] == connection
            assert listed["subscribe_logs"] == "all"
            assert listed["lag"] == 0
            assert (await client.delete(f"{other.url}/connections/{connection}")).status_code == 204
            await reader.ended()
            for wrong, field in (
                ({}, "subscribe_logs"),
                ({"subscribe_logs": ["x"]}, "subscribe_logs"),
                ({"subscribe_logs": [], "backfill_lines": -1}, "backfill_lines"),
            ):
                answer = await client.patch(f"{other.url}/connections/{connection}", json=wrong)
                assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
            for absent in (connection, "deadbeef.x", "nonsense"):
                answer = await client.delete(f"{other.url}/connections/{absent}")
                assert answer.status_code == 404


async def test_open_connections_have_pages(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url) as served, contextlib.AsyncExitStack() as open_:
        path = f"/projects/{await served.project()}/events"
        opened = []
        for _ in range(3):
            reader = await open_.enter_async_context(stream(served, path))
            await reader.until(lambda r: len(r.frames) >= 2)
            opened.insert(0, reader.frames[0].data["connection_id"])
        headers = {"Authorization": f"Bearer {served.admin_key}"}
        client = httpx.AsyncClient(base_url=served.url, headers=headers)
        await open_.enter_async_context(client)
        whole = (await client.get("/connections")).json()
        listed = [each["connection_id"] for each in whole["connections"]]
        assert sorted(listed) == sorted(opened)
        assert whole["next_cursor"] is None
        found: list[str] = []
        cursor: dict[str, str] = {}
        while not found or cursor:
            shown = await client.get("/admin/connections", params={"limit": "2", **cursor})
            page = shown.json()
            assert page["total"] == 3
            found += [each["connection_id"] for each in page["connections"]]
            cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
        assert found == listed
        for name, value in (
            ("limit", "0"),
            ("limit", "1001"),
            ("limit", "\u0663"),
            ("limit", ""),
            ("cursor", "nonsense"),
            ("cursor", "W10"),
            ("cursor", "WzEsMl0"),
        ):
            refused = await client.get("/connections", params={name: value})
            assert refused.status_code == 422, value
            assert refused.json()["errors"][0]["field"] == f"query.{name}"


async def test_a_connection_is_its_owner_s_alone(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        async with stream(served, f"/projects/{project_id}/events") as reader:
            await reader.until(lambda r: len(r.frames) >= 2)
            connection = reader.frames[0].data["connection_id"]
            headers = {"Authorization": f"Bearer {served.token('stranger')}"}
            async with httpx.AsyncClient(base_url=served.url, headers=headers) as client:
                assert (await client.get("/connections")).json()["connections"] == []
                assert (await client.get("/admin/connections")).status_code == 403
                assert (await client.delete(f"/connections/{connection}")).status_code == 404
                body = {"subscribe_logs": "all"}
                assert (
                    await client.patch(f"/connections/{connection}", json=body)
                ).status_code == 404
