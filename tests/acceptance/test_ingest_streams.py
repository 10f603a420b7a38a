"""Several API processes share the ingest streams: what is killed costs nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import asyncpg
import pytest
from tests import stored_events
from tests.acceptance.faults import Stage, running, stage
from tests.torture.cluster import TAIL_PROJECT, Cluster
from tests.torture.faults import metric
from tests.torture.programs import Service
from tests.waiting import until

from runcast import contract

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

STREAMS = 4
RUNS = 8
EACH = 400
"""Lines of each run, in each of the two ways."""
LED = 2 * STREAMS + 2
"""Streams that are always led: workers' and the tailer's, and one of each for everybody else."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running(apis=2, hubs=0, tailers=1, RUNCAST_INGEST_STREAMS=str(STREAMS)) as cluster:
        yield cluster


@pytest.fixture
async def here(cluster: Cluster) -> AsyncIterator[Stage]:
    async with stage(cluster) as made:
        yield made


async def leading(here: Stage, api: Service) -> float:
    return await metric(here.cluster, api, "runcast_ingest_leading") or 0.0


async def are_shared(here: Stage) -> bool:
    return [await leading(here, api) for api in here.cluster.apis] == [LED / 2, LED / 2]


def send(here: Stage, runs: list[str], first: int, last: int) -> None:
    """Messages without ids: nothing but the cursors keeps them from being doubled."""
    with here.cluster.redis.primary.client() as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(first, last):
            for run in runs:
                data = {"message": f"{number}"}
                message = {"type": "agent:log", "run_id": run, "data": data}
                stream = contract.ingest_stream(run, STREAMS)
                pipeline.xadd(stream, {"m": json.dumps(message)})
        pipeline.execute()


def write(here: Stage, names: list[str], first: int, last: int) -> None:
    for name in names:
        folder = here.cluster.runs_dir / name
        folder.mkdir(exist_ok=True)
        with (folder / "logs.txt").open("a") as log:
            log.writelines(f"{number}\n" for number in range(first, last))


async def lines(connection: asyncpg.Connection, run_id: UUID) -> list[str]:
    """A run's lines, whose numbers are checked to be 1, 2, 3 …"""
    found = [
        event
        for event in await stored_events.of_run(connection, run_id)
        if event.line_number is not None
    ]
    assert [event.line_number for event in found] == list(range(1, len(found) + 1))
    return [json.loads(event.data)["line"] for event in found]


async def test_two_share_the_streams_and_either_may_be_killed(here: Stage) -> None:
    runs = [here.run]
    while len(runs) < RUNS:
        made = await here.http.post(f"{here.api.url}/projects/{here.project}/runs", json={})
        runs.append(made.json()["id"])
    names = [f"followed-{number}" for number in range(RUNS)]
    assert len({contract.ingest_stream(run, STREAMS) for run in runs}) > 1
    assert len({contract.tailer_stream(name, STREAMS) for name in names}) > 1
    await until(lambda: are_shared(here), "each to lead half of the streams")
    bounds = [EACH * part // 4 for part in range(5)]
    for doomed, first, last in zip(
        (None, *here.cluster.apis, None), bounds[:-1], bounds[1:], strict=True
    ):
        await asyncio.to_thread(send, here, runs, first, last)
        await asyncio.to_thread(write, here, names, first, last)
        if doomed is not None:
            doomed.kill()
            doomed.start()
    connection = await here.cluster.connect()
    try:
        ids: list[UUID] = []

        async def all_are_there() -> bool:
            found = await connection.fetch(
                """SELECT runs.id FROM runs JOIN projects p ON p.id = project_id
                   WHERE last_line_number >= $1 AND (
                       runs.id = ANY($2::uuid[]) OR (runs.key = ANY($3) AND p.slug = $4))""",
                EACH,
                [UUID(run) for run in runs],
                names,
                TAIL_PROJECT,
            )
            ids[:] = [row["id"] for row in found]
            return len(ids) == 2 * RUNS

        await until(all_are_there, "all lines of all runs")
        for run_id in ids:
            assert await lines(connection, run_id) == [str(number) for number in range(EACH)]
        assert await connection.fetchval("SELECT count(*) FROM ingest_rejects") == 0
    finally:
        await connection.close()
    await until(lambda: are_shared(here), "each to lead half of the streams again")
