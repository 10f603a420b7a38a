"""Who applies which ingest stream: one process each, shared out among those that live."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from runcast import contract
from runcast._support.ids import uuid7
from runcast.contract import INGEST_STREAM, TAILER_STREAM
from runcast_api.ingest import leadership, leases, metrics
from runcast_api.ingest.batches import Applier
from runcast_api.ingest.handlers import handlers
from runcast_api.ingest.ingester import Ingester
from runcast_api.ingest.leadership import Leadership, spread, streams_of
from runcast_api.ingest.leases import Leases
from runcast_server import loops, tasks
from runcast_server.db import acquire
from runcast_server.loops import Loop
from tests.integration import ingesting
from tests.integration.ingesting import Ingest
from tests.waiting import until

pytestmark = pytest.mark.anyio

STREAMS = 4
ALL = frozenset(streams_of(STREAMS))


async def test_a_leader_without_messages_notices_that_the_cursor_was_moved(
    database_url: str, redis_url: str
) -> None:
    async with ingesting.opened(database_url, redis_url) as ingest:
        run_id = await ingest.run(await ingest.project())
        message = {"type": "agent:log", "run_id": str(run_id), "data": {"message": "m"}}
        async with ingest.running() as leader:
            await ingest.send(message)
            await until(lambda: ingest.lines(run_id), "a line")
            before = metrics.FENCED._value.get()
            async with acquire(ingest.database.log) as connection:
                await connection.execute(
                    "UPDATE ingest_cursor SET stream_epoch = stream_epoch + 1 WHERE stream = $1",
                    INGEST_STREAM,
                )
            await until(lambda: metrics.FENCED._value.get() > before, "it to step back")
            await ingest.send(message)
            await until(lambda: leader.is_leading, "it to lead again")

            async def has_both() -> bool:
                return len(await ingest.lines(run_id)) == 2

            await until(has_both, "the second line")


# ---------------------------------------------------------------------- leases


async def shift(ingest: Ingest, stream: str, by: str) -> None:
    async with acquire(ingest.database.log) as connection:
        await connection.execute(
            "UPDATE ingest_leases SET until = until + $2::text::interval WHERE stream = $1",
            stream,
            by,
        )


@pytest.mark.parametrize("by", ["-1 minute", "1 hour"])
async def test_a_lease_that_ended_or_is_from_before_the_clock_went_back_is_free(
    database_url: str, redis_url: str, by: str
) -> None:
    async with ingesting.opened(database_url, redis_url) as ingest:
        first, second = (Leases(ingest.database.log, uuid7()) for _ in range(2))
        assert await first.take([INGEST_STREAM, TAILER_STREAM]) == {INGEST_STREAM, TAILER_STREAM}
        assert await second.take([INGEST_STREAM]) == set()
        await shift(ingest, INGEST_STREAM, by)
        standing = await second.renew([])
        assert standing.holders == {TAILER_STREAM: first.process}
        assert await second.take([INGEST_STREAM, TAILER_STREAM]) == {INGEST_STREAM}
        # The first one wakes up: what was taken from it, it doesn't get back.
        standing = await first.renew([INGEST_STREAM, TAILER_STREAM])
        assert standing.holders == {TAILER_STREAM: first.process, INGEST_STREAM: second.process}
        assert standing.processes == {first.process, second.process}
        await second.give_back([INGEST_STREAM])
        await second.end()
        assert (await first.renew([])).processes == {first.process}
        assert await first.take([INGEST_STREAM]) == {INGEST_STREAM}


# ---------------------------------------------------------------------- shares


@contextlib.asynccontextmanager
async def process(ingest: Ingest, streams: int = STREAMS) -> AsyncIterator[tuple[Leadership, Loop]]:
    """A process that leads its share."""

    def make(stream: str) -> Ingester:
        applier = Applier(stream, ingest.log, handlers(line_bytes=65_536), None)
        return Ingester(ingest.bus, ingest.database.log, applier)

    made = Leadership(Leases(ingest.database.log, uuid7()), ingest.bus, streams, make)
    [loop] = made.loops()
    async with made.giving_back(), loops.running([loop]):
        yield made, loop


async def send(ingest: Ingest, run_ids: list[UUID], number: int, streams: int = STREAMS) -> None:
    """This many lines of each run, each in the stream that takes its messages."""
    for place in range(number):
        for run_id in run_ids:
            message = {"type": "agent:log", "run_id": str(run_id), "data": {"message": f"{place}"}}
            stream = contract.ingest_stream(str(run_id), streams)
            await ingest.bus.client.xadd(stream, {"m": json.dumps(message)})


async def have(ingest: Ingest, run_ids: list[UUID], number: int) -> bool:
    return all([len(await ingest.lines(each)) >= number for each in run_ids])


async def test_streams_are_shared_out_and_go_over_to_whoever_is_left(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leadership, "ROUND_SECONDS", 0.1)
    monkeypatch.setattr(leases, "LEASE_SECONDS", 1.5)
    async with ingesting.opened(database_url, redis_url) as ingest:
        project = await ingest.project()
        run_ids = [await ingest.run(project) for _ in range(12)]
        assert len({contract.ingest_stream(str(each), STREAMS) for each in run_ids}) > 1
        async with process(ingest) as (first, loop):
            await until(lambda: first.streams == ALL, "the only one to lead everything")
            async with process(ingest) as (second, _):
                await until(lambda: len(second.streams) == len(ALL) / 2, "half of them to go over")
                assert first.streams | second.streams == ALL
                assert not first.streams & second.streams
                await send(ingest, run_ids, 5)
                await until(lambda: have(ingest, run_ids, 5), "all lines, by both of them")
                # The first one dies: it gives nothing back, and says no more that it lives.
                assert loop.task is not None
                await tasks.end(loop.task, *(led.task for led in first._led.values()))
                await send(ingest, run_ids, 5)
                await until(lambda: have(ingest, run_ids, 10), "the other's lines, by the second")
                assert second.streams == ALL
        for run_id in run_ids:
            assert await ingest.lines(run_id) == [str(place) for place in range(5)] * 2
        assert await ingest.rejects() == []


async def test_a_stream_that_only_a_sender_knows_is_led_until_it_is_empty(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Senders and servers need not be told another number at the same moment."""
    monkeypatch.setattr(leadership, "ROUND_SECONDS", 0.05)
    monkeypatch.setattr(leadership, "LOOK_SECONDS", 0.1)
    async with ingesting.opened(database_url, redis_url) as ingest:
        project = await ingest.project()
        run_ids = [await ingest.run(project) for _ in range(3)]
        async with process(ingest, streams=1) as (only, _):
            await send(ingest, run_ids, 2, streams=64)
            await until(lambda: have(ingest, run_ids, 2), "the lines")
            always = {INGEST_STREAM, TAILER_STREAM}
            await until(lambda: only._led.keys() == always, "the others to be let go")
            # An alert looks for streams that no process leads.
            [shown] = metrics.LEADING.collect()
            values = {sample.labels["stream"]: sample.value for sample in shown.samples}
            assert [values[name] for name in sorted(always)] == [1.0, 1.0]
            used = {contract.ingest_stream(str(each), 64) for each in run_ids} - ALL
            assert not used & values.keys()


async def test_an_ingester_that_cannot_work_gives_its_stream_to_another_process(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leadership, "ROUND_SECONDS", 0.05)
    async with (
        ingesting.opened(database_url, redis_url) as ingest,
        process(ingest, streams=1) as (first, _),
    ):
        await until(lambda: len(first.streams) == 2, "it to lead")
        async with process(ingest, streams=1) as (second, _):
            await until(lambda: len(second.streams) == 1, "each to lead one")
            [stream] = second.streams
            failing = second._led[stream].ingester
            # Its own connection to Redis hangs.
            with capture_logs() as logs:
                for _ in range(3):
                    failing._stumble(ConnectionError("away"))
            # It tries twice a second, and says once what it meets.
            assert [each["event"] for each in logs] == ["ingest.waits"]
            assert failing.trouble == "away"
            failing._came_round_at -= leadership.FAILING_SECONDS + 1
            monkeypatch.setattr(failing, "_came_round", lambda: None)
            await until(lambda: stream in first.streams, "the other one to take it")


def test_streams_are_chosen_evenly() -> None:
    names = list("abcdefgh")
    assert spread(names, 4) == ["b", "d", "f", "h"]
    assert spread(names, 8) == spread(names, 100) == names
    assert spread(names, 0) == spread([], 3) == []


def test_all_messages_of_a_run_go_into_one_stream_however_it_is_written() -> None:
    run_id = "01981B5E-0000-7000-8000-00000000000A"
    streams = {contract.ingest_stream(name, 16) for name in (run_id, run_id.lower())}
    # What programs in other languages work out: CRC-32 of the id in lower case.
    assert streams == {"runcast:{ingest:6}"}
    assert contract.tailer_stream(run_id, 16) == "runcast:{ingest:6}:tailer"
    assert contract.ingest_stream("my-run", 1) == INGEST_STREAM
    assert contract.tailer_stream("my-run", 1) == TAILER_STREAM


async def test_many_rounds_at_once_end_in_one_leader_each(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leadership, "ROUND_SECONDS", 0.05)
    monkeypatch.setattr(leadership, "SETTLE_SECONDS", 0.3)
    async with (
        ingesting.opened(database_url, redis_url) as ingest,
        contextlib.AsyncExitStack() as stack,
    ):
        some = [(await stack.enter_async_context(process(ingest)))[0] for _ in range(3)]

        def are_shared() -> bool:
            led = [name for each in some for name in each.streams]
            return sorted(led) == sorted(ALL) and max(len(each.streams) for each in some) <= 4

        await until(are_shared, "each stream to have one leader")
        await asyncio.sleep(0)
