"""Clocks that jump: those of our own processes, by hours and days, forwards and back, one apart from the
others. What is measured goes on, what is told as a time of day stays sane.

Postgres's clock: `test_faults_postgres.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from email.utils import parsedate_to_datetime

import httpx
import jwt
import pytest
from tests.acceptance.faults import Stage, reading, running, stage
from tests.acceptance.test_faults_services import is_leading, leader_of
from tests.torture.cluster import Cluster
from tests.torture.programs import Service
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

SECRET = "a secret of thirty-two characters, at least"
HOUR = 3600.0
STREAMS_PER_USER = 2


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running(
        apis=2,
        hubs=2,
        tailers=1,
        RUNCAST_JWT_SECRET=SECRET,
        RUNCAST_SSE_MAX_CONNECTIONS_PER_USER=str(STREAMS_PER_USER),
    ) as cluster:
        yield cluster


@pytest.fixture
async def here(cluster: Cluster) -> AsyncIterator[Stage]:
    try:
        async with stage(cluster) as made:
            yield made
    finally:
        for each in cluster.services.values():
            each.set_clock(0.0)


def person(name: str, lasts: float = HOUR) -> dict[str, str]:
    """The header of somebody who may read everything, for so many seconds."""
    claims = {"sub": name, "role": "admin", "exp": int(time.time() + lasts)}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}


async def is_off_by(here: Stage, service: Service, seconds: float) -> bool:
    """Whether a process's clock is off by that much, by what it tells the world."""
    answer = await here.http.get(f"{service.url}/health")
    told = parsedate_to_datetime(answer.headers["date"]).timestamp()
    return abs(told - time.time() - seconds) < 30


async def test_whatever_time_it_is_everything_arrives_in_order(here: Stage) -> None:
    cluster, reader = here.cluster, here.reader()
    log = cluster.runs_dir / "clocks" / "logs.txt"
    log.parent.mkdir()
    lines = [f"line {number}" for number in range(1, 301)]
    async with reading(reader):
        for turn, hours in enumerate((9.0, -10.0, 24.0 * 40, 0.0)):
            for number, each in enumerate(cluster.services.values()):
                seconds = hours * HOUR * (-1) ** number
                each.set_clock(seconds)
                await until(
                    lambda s=each, by=seconds: is_off_by(here, s, by), f"{each.name}'s clock is set"
                )
            for api in cluster.apis:
                await here.write(25, api=api)
            _tell(here, 50)
            with log.open("a") as file:
                file.write("".join(f"{line}\n" for line in lines[turn * 75 : turn * 75 + 75]))
            await until(lambda: _stored(here, here.written), "what was told is stored")
            await until(lambda n=turn: _has_lines(here, n * 75 + 75), "the file is stored")
            for each in (*cluster.apis, *cluster.hubs):
                status, told = await here.ready(each)
                assert (status, told.get("failing", {})) == (200, {}), each.name
        await here.is_whole()
    assert reader.history.connections == 1, (
        "it would have come again after four heartbeats' silence"
    )
    assert await _lines(here) == lines


def _tell(here: Stage, number: int) -> None:
    """Messages on the ingest stream, which nothing but its cursor keeps from being doubled."""
    with here.cluster.redis.primary.client() as client:
        for each in range(here.written + 1, here.written + number + 1):
            data = {"message": f"~redis-0:{each}~"}
            message = {"type": "agent:log", "run_id": here.run, "data": data}
            client.xadd("runcast:ingest", {"m": json.dumps(message)})
    here.written += number


async def _stored(here: Stage, number: int) -> bool:
    answer = await here.http.get(f"{here.api.url}/runs/{here.run}")
    return bool(answer.json()["last_line_number"] >= number)


async def _lines(here: Stage) -> list[str]:
    headers = {"Accept": "text/plain"}
    answer = await here.http.get(f"{here.api.url}/runs/clocks/logs?project=files", headers=headers)
    return answer.text.splitlines() if answer.status_code == 200 else []


async def _has_lines(here: Stage, number: int) -> bool:
    return len(await _lines(here)) >= number


async def test_places_are_counted_and_given_back_whatever_time_it_is(here: Stage) -> None:
    """Each hub's clock says something else; a killed hub's places are free again all the same."""
    one, two = here.cluster.hubs
    one.set_clock(5 * HOUR)
    two.set_clock(-7 * HOUR)
    path = f"/projects/{here.project}/events"
    ada = person("ada", 24 * HOUR)
    async with contextlib.AsyncExitStack() as streams:
        for hub in (one, two):
            opened = here.http.stream("GET", hub.url + path, headers=ada)
            assert (await streams.enter_async_context(opened)).status_code == 200
        for hub in (one, two):
            assert await _status(here, hub.url + path, ada) == 429
        assert one.kill() == -signal.SIGKILL
        one.start()
        await until(one.listens, "the killed hub is back")
        await until(lambda: _is_open(here, one.url + path, ada), "the killed hub's place is free")


async def _status(here: Stage, url: str, headers: dict[str, str]) -> int:
    async with here.http.stream("GET", url, headers=headers) as answer:
        return answer.status_code


async def _is_open(here: Stage, url: str, headers: dict[str, str]) -> bool:
    return await _status(here, url, headers) == 200


async def test_a_token_ends_by_the_clock_of_whoever_is_shown_it(here: Stage) -> None:
    """Forwards, its streams end with a word; back again, it is good again. Our own keys don't care."""
    hub = here.cluster.hubs[0]
    url = f"{hub.url}/projects/{here.project}/events"
    bob = person("bob", HOUR)
    reader = here.reader(hubs=[hub])
    async with reading(reader):
        async with here.http.stream("GET", url, headers=bob) as answer:
            assert answer.status_code == 200
            hub.set_clock(2 * HOUR)
            async with asyncio.timeout(10):
                said = "".join([piece async for piece in answer.aiter_text()])
        assert '"token_expired"' in said
        assert await _status(here, url, bob) == 401
        hub.set_clock(0.0)
        await until(lambda: _is_open(here, url, bob), "the token is good again")
        await here.write(5)
        await here.is_whole()
    assert reader.history.connections == 1


async def test_a_ticket_lasts_half_a_minute_whoever_made_it(here: Stage) -> None:
    for hours in (3.0, -3.0):
        here.api.set_clock(hours * HOUR)
        here.cluster.hubs[0].set_clock(-hours * HOUR)
        made = await here.http.post(f"{here.api.url}/projects/{here.project}/stream-tickets")
        assert made.status_code == 201, made.text
        url = f"{here.cluster.hubs[0].url}/projects/{here.project}/events"
        async with (
            httpx.AsyncClient(timeout=10) as nobody,
            nobody.stream("GET", f"{url}?ticket={made.json()['ticket']}") as answer,
        ):
            assert answer.status_code == 200


async def test_a_lease_on_work_is_no_shorter_for_it(here: Stage) -> None:
    """Handed out by one process, moved at another whose clock is hours ahead: still its holder's."""
    one, two = here.cluster.apis
    body = {"title": "t", "subtasks": [{"title": "s"}]}
    task = (await here.http.post(f"{one.url}/projects/{here.project}/tasks", json=body)).json()
    await here.http.post(f"{one.url}/tasks/{task['id']}/activate")
    two.set_clock(10 * HOUR)
    claim = {"worker_id": "w1", "lease_s": 60}
    url = f"/projects/{here.project}/subtasks/claim"
    claimed = (await here.http.post(one.url + url, json=claim)).json()["subtask"]
    again = await here.http.post(two.url + url, json=claim | {"worker_id": "w2"})
    assert again.status_code == 204
    done = await here.http.post(
        f"{two.url}/subtasks/{claimed['id']}/complete", json={"worker_id": "w1"}
    )
    assert done.status_code == 200, done.text


async def test_an_ingester_that_stands_still_is_noticed_though_postgres_went_back(
    here: Stage,
) -> None:
    leader = await leader_of(here)
    [other] = [api for api in here.cluster.apis if api is not leader]
    connection = await here.cluster.connect()
    reader = here.reader()
    async with reading(reader):
        _tell(here, 100)
        await here.delivered()
        leader.signal(signal.SIGSTOP)
        try:
            await here.cluster.shift_clock(connection, -10.0)
            _tell(here, 100)
            await until(lambda: is_leading(here, other), "another takes over")
        finally:
            leader.signal(signal.SIGCONT)
            await here.cluster.shift_clock(connection, 0.0)
            await connection.close()
        await until(lambda: _stored(here, here.written), "everything is stored")
        await here.is_whole()
