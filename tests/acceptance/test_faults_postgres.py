"""Postgres restarted, crashed, paused, full and restored to an older state; its clock set."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import asyncpg
import pytest
from tests import stored_events
from tests.acceptance.faults import Stage, reading, running, stage
from tests.processes import RUNCAST
from tests.torture.cluster import Cluster
from tests.torture.faults import take_all
from tests.torture.history import Gap
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running(apis=1, hubs=1, tailers=0) as cluster:
        yield cluster


@pytest.fixture
async def here(cluster: Cluster) -> AsyncIterator[Stage]:
    async with stage(cluster) as made:
        yield made


async def test_while_it_is_away_writes_are_refused_and_streams_stay_open(here: Stage) -> None:
    reader = here.reader()
    async with reading(reader):
        await here.write(10)
        await asyncio.to_thread(here.cluster.postgres.stop)
        refused = await here.post(10)
        status, told = await here.ready(here.api)
        await asyncio.to_thread(here.cluster.postgres.start)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert status == 503
        assert told["failing"]
        here.written -= 10
        await until(lambda: _is_ready(here), "the API is ready again")
        await here.write(10)
        await here.is_whole()
    assert reader.history.connections == 1


async def _is_ready(here: Stage) -> bool:
    return (await here.ready(here.api))[0] == 200


async def test_a_crash_under_writers_keeps_what_was_acknowledged_and_no_half(here: Stage) -> None:
    reader = here.reader()
    accepted = 0
    async with reading(reader):
        for _ in range(3):
            writing = [asyncio.create_task(here.post(5)) for _ in range(20)]
            here.cluster.postgres.crash()
            answers = [answer.status_code for answer in await asyncio.gather(*writing)]
            assert set(answers) <= {201, 503}, answers
            accepted += 5 * answers.count(201)
            await until(lambda: _is_ready(here), "the API is ready again")
        await here.delivered()
        [verdict] = await here.judge()
    assert verdict.is_clean, verdict
    assert verdict.checked >= accepted
    assert verdict.checked % 5 == 0, "half of a request was stored"
    assert reader.history.connections == 1


async def test_a_pause_is_a_delay(here: Stage) -> None:
    reader = here.reader()
    async with reading(reader):
        await here.write(10)
        pids = here.cluster.postgres.pause()
        try:
            writing = asyncio.create_task(here.post(10))
            done, _ = await asyncio.wait([writing], timeout=2)
            assert not done
        finally:
            here.cluster.postgres.resume(pids)
        assert (await writing).status_code == 201
        await here.is_whole()
    assert reader.history.connections == 1


async def test_without_a_free_connection_writes_are_refused_until_there_is_one(
    here: Stage,
) -> None:
    reader = here.reader()
    held: list[asyncpg.Connection] = []
    async with reading(reader):
        await here.write(10)
        try:
            await take_all(here.cluster, held)
            refused = await here.post(10)
            here.written -= 10
        finally:
            for connection in held:
                connection.terminate()
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        await until(lambda: _is_ready(here), "the API is ready again")
        await here.write(10)
        await here.is_whole()
    assert reader.history.connections == 1


@pytest.mark.parametrize("witness", ["redis", "hub"])
async def test_an_older_state_is_another_history_and_readers_are_told(
    here: Stage, witness: str
) -> None:
    """As after a restore: the newest events are gone, and their numbers come again. Redis remembers the
    higher number; or it was emptied too, and nobody but the hub does."""
    reader = here.reader()
    async with reading(reader):
        await here.write(18)
        await here.write(22)
        await here.delivered()
        epoch, head = reader.connected["epoch"], await here.head()
        connection = await here.cluster.connect()
        project = UUID(here.project)
        if witness == "hub":
            here.api.signal(signal.SIGSTOP)
            with here.cluster.redis.primary.client() as client:
                client.flushall()
        await connection.execute(
            "DELETE FROM segments WHERE project_id = $1 AND last_seq > 20", project
        )
        await connection.execute(
            "UPDATE project_counters SET last_seq = 20 WHERE project_id = $1", project
        )
        await until(
            lambda: any(isinstance(note, Gap) for _, note in reader.history.notes),
            "the open stream is told",
        )
        here.api.signal(signal.SIGCONT)
        gap = next(note for _, note in reader.history.notes if isinstance(note, Gap))
        assert (gap.reason, gap.last) == ("reset", 20)
        await connection.execute(
            "UPDATE runs SET last_line_number = 18 WHERE project_id = $1", project
        )
        await connection.close()
        before = len(reader.history.ids)
        await here.write(30)
        await here.delivered()
        assert list(reader.history.ids[before:]) == list(range(21, 51))
    late = here.reader("late")
    late.position, late.parameters["epoch"] = head, epoch
    async with reading(late):
        await here.write(1)
        await until(lambda: late.position == 51, "who was away is told and goes on")
    assert [note.reason for _, note in late.history.notes if isinstance(note, Gap)] == ["reset"]


async def test_an_operator_can_say_that_history_went_back(here: Stage) -> None:
    """`runcast db after-restore`, where nobody else remembers: open streams are told, and go on."""
    reader = here.reader()
    async with reading(reader):
        await here.write(10)
        await here.delivered()
        epoch, head = reader.connected["epoch"], await here.head()
        command = [RUNCAST, "db", "after-restore", "--database-url", here.cluster.postgres.url]
        said = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
        assert said.returncode == 0, said.stderr
        assert "rotated the epoch" in said.stdout
        await until(
            lambda: any(isinstance(note, Gap) for _, note in reader.history.notes),
            "the open stream is told",
        )
        gap = next(note for _, note in reader.history.notes if isinstance(note, Gap))
        assert (gap.reason, gap.last) == ("reset", head)
        await here.write(10)
        await here.delivered()
        first = reader.history.ids[0]
        assert list(reader.history.ids) == list(range(first, head + 11))
    late = here.reader("late")
    late.position, late.parameters["epoch"] = head, epoch
    async with reading(late):
        await until(lambda: late.position == head + 10, "who was away is told")
    assert [note.reason for _, note in late.history.notes if isinstance(note, Gap)] == ["reset"]


async def test_a_clock_that_jumps_moves_no_event_before_another(here: Stage) -> None:
    reader = here.reader()
    connection = await here.cluster.connect()
    async with reading(reader):
        for hours in (0.0, 9.0, -10.0, 3.0, 0.0):
            await here.cluster.shift_clock(connection, hours)
            await here.write(10)
            await here.delivered()
        await here.is_whole()
    times = [event.at for event in await stored_events.of_project(connection, UUID(here.project))]
    await connection.close()
    assert times == sorted(times)
    assert (times[-1] - times[0]).total_seconds() > 8 * 3600
    assert reader.history.connections == 1
