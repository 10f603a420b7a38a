"""API, ingester, hub and tailer killed and stopped: others go on, and who wakes up late is fenced."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from tests import stored_events
from tests.acceptance.faults import Stage, reading, running, stage
from tests.torture.cluster import Cluster
from tests.torture.faults import metric
from tests.torture.programs import Service, service, wait
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running(apis=2, hubs=2, tailers=1) as cluster:
        yield cluster


@pytest.fixture
async def here(cluster: Cluster) -> AsyncIterator[Stage]:
    async with stage(cluster) as made:
        yield made


async def test_what_a_killed_api_committed_is_published_by_another(here: Stage) -> None:
    """Redis stands still while it commits, so it dies between commit and publish."""
    doomed, other = here.cluster.apis
    redis = here.cluster.redis.primary
    reader = here.reader()
    async with reading(reader):
        await here.write(1)
        assert redis.child is not None
        redis.child.send_signal(signal.SIGSTOP)
        try:
            await here.write(10, api=doomed)
            assert doomed.kill() == -signal.SIGKILL
        finally:
            redis.child.send_signal(signal.SIGCONT)
        await here.delivered()
        head = await here.head()
        await until(lambda: _is_published(here, head), "Redis has what the killed one committed")
        await here.write(5, api=other)
        await here.is_whole()
    assert reader.history.connections == 1
    await _restart(doomed)


async def test_an_api_that_stands_still_with_a_transaction_open_holds_nobody_for_long(
    here: Stage,
) -> None:
    """It is stopped while its statement waits for the counter, which it then gets and never lets go."""
    stopped, other = here.cluster.apis
    reader = here.reader()
    connection = await here.cluster.connect()
    async with reading(reader):
        async with connection.transaction():
            await connection.execute(
                "SELECT FROM project_counters WHERE project_id = $1 FOR UPDATE", UUID(here.project)
            )
            posting = [here.post(20, api=stopped, in_steps=True) for _ in range(30)]
            writing = [asyncio.create_task(post) for post in posting]
            await until(lambda: connection.fetchval(_WAITING), "its statement waits")
            stopped.signal(signal.SIGSTOP)
        try:
            assert not await _can_write(here, other), "the counter is held"
            await until(lambda: _can_write(here, other), "others can write")
        finally:
            stopped.signal(signal.SIGCONT)
            await connection.close()
        answers = await asyncio.gather(*writing)
        # 408: the body of a request came while the process was stopped, and its deadline passed.
        assert {answer.status_code for answer in answers} <= {201, 408, 503}
        here.written -= 20 * sum(answer.status_code != 201 for answer in answers)
        await here.delivered()
        [verdict] = await here.judge()
    assert verdict.is_clean, verdict
    assert verdict.checked >= here.written


_WAITING = """
SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'runcast%' AND wait_event_type = 'Lock'
"""


async def _can_write(here: Stage, api: Service) -> bool:
    answer = await here.post(1, api=api)
    if answer.status_code != 201:
        here.written -= 1
    return answer.status_code == 201


async def test_a_request_that_a_stopping_api_cannot_finish_is_told_so(here: Stage) -> None:
    """Its counter is held by somebody else for longer than the API may take to end."""
    stopping = here.cluster.apis[0]
    connection = await here.cluster.connect()
    async with connection.transaction():
        await connection.execute(
            "SELECT FROM project_counters WHERE project_id = $1 FOR UPDATE", UUID(here.project)
        )
        writing = asyncio.create_task(here.post(1, api=stopping))
        await until(lambda: connection.fetchval(_WAITING), "its statement waits")
        code = await asyncio.to_thread(stopping.terminate)
        answer = await writing
    await connection.close()
    await _restart(stopping)
    assert code == 0
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


async def test_an_ingester_that_was_stopped_and_wakes_up_stores_nothing_twice(here: Stage) -> None:
    leader = await leader_of(here)
    [other] = [api for api in here.cluster.apis if api is not leader]
    reader = here.reader()
    async with reading(reader):
        _tell(here, 1, 500)
        leader.signal(signal.SIGSTOP)
        try:
            _tell(here, 501, 1000)
            await until(lambda: is_leading(here, other), "another ingester takes over")
            _tell(here, 1001, 1500)
            await until(lambda: _stored(here, 1500), "everything is stored")
        finally:
            leader.signal(signal.SIGCONT)
        _tell(here, 1501, 2000)
        await until(lambda: _stored(here, 2000), "everything is stored")
        await until(lambda: _oneis_leading(here), "one of the two leads")
        here.written = 2000
        await here.is_whole()


def _tell(here: Stage, first: int, last: int) -> None:
    """Messages without ids on the ingest stream: nothing but the cursor keeps them from being doubled."""
    with here.cluster.redis.primary.client() as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(first, last + 1):
            data = {"message": f"~redis-0:{number}~"}
            message = {"type": "agent:log", "run_id": here.run, "data": data}
            pipeline.xadd("runcast:ingest", {"m": json.dumps(message)})
        pipeline.execute()


async def is_leading(here: Stage, api: Service) -> bool:
    """Whether this process ingests."""
    return await metric(here.cluster, api, 'runcast_ingest_leading{stream="runcast:ingest"}') == 1


async def _oneis_leading(here: Stage) -> bool:
    return [await is_leading(here, api) for api in here.cluster.apis].count(True) == 1


async def leader_of(here: Stage) -> Service:
    """The process that ingests."""
    await until(lambda: _oneis_leading(here), "one of the two leads")
    for api in here.cluster.apis:
        if await is_leading(here, api):
            return api
    raise AssertionError("nobody leads")


async def _stored(here: Stage, number: int) -> bool:
    """Asks Postgres itself: any of the processes may be stopped."""
    connection = await here.cluster.connect()
    try:
        last = await connection.fetchval(
            "SELECT last_line_number FROM runs WHERE id = $1", UUID(here.run)
        )
    finally:
        await connection.close()
    return bool(last >= number)


def _is_published(here: Stage, number: int) -> bool:
    with here.cluster.redis.primary.client() as client:
        return bool(client.hget(f"runcast:{{{here.project}}}:head", "seq") == b"%d" % number)


async def test_readers_of_a_killed_hub_go_on_at_another(here: Stage) -> None:
    doomed = here.cluster.hubs[0]
    readers = [here.reader(f"reader-{number}") for number in range(6)]
    async with reading(*readers):
        await here.write(50)
        doomed.kill()
        await here.write(50)
        await here.delivered()
        await here.is_whole()
    await _restart(doomed)


async def test_a_hub_that_was_stopped_sends_what_its_clients_missed(here: Stage) -> None:
    hub = here.cluster.hubs[0]
    reader = here.reader(hubs=[hub])
    async with reading(reader):
        await here.write(50)
        hub.signal(signal.SIGSTOP)
        try:
            await here.write(50)
            head = await here.head()
            await until(lambda: _is_published(here, head), "it would have heard of everything")
        finally:
            hub.signal(signal.SIGCONT)
        await here.write(50)
        await here.is_whole()


async def test_a_tailer_killed_again_and_again_stores_each_line_once(here: Stage) -> None:
    tailer = here.cluster.tailers[0]
    log = _log(here, "killed")
    for number in range(1, 6):
        before = len(await _lines(here, "killed"))
        _append(log, number * 200 - 199, number * 200)
        await until(lambda n=before: _lines(here, "killed", n + 1), "it is in the middle of them")
        tailer.kill()
        _append(log, 1000 + number * 10 - 9, 1000 + number * 10)
        tailer.start()
        await until(tailer.listens, "the tailer is back")
    expected = log.read_text().splitlines()
    await until(lambda: _lines(here, "killed", len(expected)), "all lines are stored")
    assert await _lines(here, "killed") == expected


async def test_a_tailer_that_was_stopped_while_another_took_over_doubles_nothing(
    here: Stage,
) -> None:
    tailer = here.cluster.tailers[0]
    log = _log(here, "stopped")
    _append(log, 1, 100)
    await until(lambda: _lines(here, "stopped", 100), "the first lines are stored")
    second = service("tailer-2", here.cluster.root, here.cluster.environment())
    tailer.signal(signal.SIGSTOP)
    try:
        second.start()
        _append(log, 101, 300)
        wait(second.listens, "the second tailer")
    finally:
        tailer.signal(signal.SIGCONT)
    try:
        _append(log, 301, 500)
        await until(lambda: _lines(here, "stopped", 500), "all lines are stored")
    finally:
        second.end()
    _append(log, 501, 600)
    await until(lambda: _lines(here, "stopped", 600), "all lines are stored")
    assert await _lines(here, "stopped") == log.read_text().splitlines()


def _log(here: Stage, name: str) -> Path:
    directory = here.cluster.runs_dir / name
    directory.mkdir(parents=True)
    return directory / "logs.txt"


def _append(log: Path, first: int, last: int) -> None:
    with log.open("a") as file:
        for number in range(first, last + 1):
            file.write(f"line {number}\n")
            if number % 50 == 0:
                file.flush()
                os.fsync(file.fileno())


async def _lines(here: Stage, key: str, at_least: int = 0) -> list[str]:
    """The stored lines of a file run in order; none while there are fewer than so many."""
    connection = await here.cluster.connect()
    try:
        run_id = await connection.fetchval("SELECT id FROM runs WHERE key = $1", key)
        found = await stored_events.of_run(connection, run_id)
    finally:
        await connection.close()
    lines = [json.loads(event.data)["line"] for event in found if event.line_number is not None]
    return lines if len(lines) >= at_least else []


async def _restart(target: Service) -> None:
    target.start()
    await until(target.listens, f"{target.name} is back")


async def test_everything_at_once_is_whole(here: Stage) -> None:
    """One of each service killed in the same moment."""
    readers = [here.reader(f"reader-{number}") for number in range(4)]
    victims = [here.cluster.apis[1], here.cluster.hubs[1], here.cluster.tailers[0]]
    async with reading(*readers):
        await here.write(50)
        for victim in victims:
            victim.kill()
        await here.write(50)
        for victim in victims:
            await _restart(victim)
        await here.write(50)
        await here.is_whole()
