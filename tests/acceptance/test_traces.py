"""One trace of an event over processes: its request, commit, publishing, and delivery by two hubs."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import jwt
import pytest
from redis.asyncio import Redis
from tests import collector as collectors
from tests import servers
from tests.collector import Collector, Kept
from tests.processes import Process
from tests.waiting import until, wait_for

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

SECRET = "a secret of thirty-two characters, at least"
TOKEN = jwt.encode({"sub": "ada", "role": "admin"}, SECRET, algorithm="HS256")
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@dataclass
class Traced:
    """An API and two hubs in processes of their own, and the collector that they were told."""

    collector: Collector
    api: str
    hubs: list[str]
    redis_url: str


@contextlib.contextmanager
def _started(directory: Path, name: str, environ: dict[str, str]) -> Iterator[Process]:
    directory.mkdir(parents=True)
    process = Process(directory, [name], environ)
    process.start()
    try:
        yield process
    finally:
        process.cleanup()


def _address(process: Process) -> str:
    said = f"runcast {process.arguments[0]} is running: "
    wait_for(lambda: process.has_ended or said in process.said, "its address", lambda: process.said)
    return process.said.partition(said)[2].split()[0]


@pytest.fixture
def traced(database_url: str, redis_url: str) -> Iterator[Traced]:
    with collectors.running() as collector, contextlib.ExitStack() as stack:
        directory = stack.enter_context(servers.directory())
        environ = {
            "RUNCAST_DATABASE_URL": database_url,
            "RUNCAST_REDIS_URL": redis_url,
            "RUNCAST_PORT": "0",
            "RUNCAST_JWT_SECRET": SECRET,
            "RUNCAST_DATABASE_POOL_SIZE": "3",
            "RUNCAST_TRACES_URL": collector.url,
            "RUNCAST_TRACES_HEADERS": "X-Tenant=ours",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        api, *hubs = [
            stack.enter_context(_started(directory / f"{name}-{place}", name, environ))
            for place, name in enumerate(("api", "hub", "hub"))
        ]
        yield Traced(collector, _address(api), [_address(hub) for hub in hubs], redis_url)


@contextlib.asynccontextmanager
async def _listening(client: httpx.AsyncClient, url: str) -> AsyncIterator[AsyncIterator[str]]:
    async with client.stream("GET", url) as answer:
        chunks = answer.aiter_text()
        assert "connected" in await anext(chunks)
        yield chunks


async def test_an_event_is_one_trace_from_its_request_to_its_delivery(traced: Traced) -> None:
    mine, above = secrets.token_hex(16), secrets.token_hex(8)
    async with httpx.AsyncClient(headers=HEADERS, timeout=30) as client:
        project = (await client.post(f"{traced.api}/projects", json={"name": "p"})).json()["id"]
        run = (await client.post(f"{traced.api}/projects/{project}/runs", json={})).json()["id"]
        path = f"/projects/{project}/events?subscribe_logs=all"
        async with contextlib.AsyncExitStack() as stack:
            listeners = [
                await stack.enter_async_context(_listening(client, hub + path))
                for hub in traced.hubs
            ]
            answer = await client.post(
                f"{traced.api}/runs/{run}/logs",
                json={"message": "a line"},
                headers={"traceparent": f"00-{mine}-{above}-01"},
            )
            assert answer.status_code == 201
            heard = [await anext(listener) for listener in listeners]
        await until(lambda: len(traced.collector.of(mine)) >= 5, "all spans of the trace")

        # What a subscriber is sent isn't changed by it: the event's own frame, as it is replayed.
        history = f"{traced.hubs[0]}/projects/{project}/events?last_event_id=1&subscribe_logs=all"
        async with client.stream("GET", history) as replay:
            replayed = ""
            async for text in replay.aiter_text():
                replayed += text
                if heard[0] in replayed:
                    break
        assert heard[0] == heard[1]
        assert mine not in heard[0]

    spans = traced.collector.of(mine)
    assert sorted((span.service, span.name) for span in spans) == [
        ("runcast-api", "POST /runs/{run}/logs"),
        ("runcast-api", "commit"),
        ("runcast-api", "publish"),
        ("runcast-hub", "deliver"),
        ("runcast-hub", "deliver"),
    ]
    [request], [commit], [publish], delivered = (
        [span for span in spans if span.name.startswith(name)]
        for name in ("POST", "commit", "publish", "deliver")
    )
    assert (request.above, commit.above, publish.above) == (above, request.id, commit.id)
    assert {span.above for span in delivered} == {publish.id}
    assert request.about["http.response.status_code"] == "201"
    assert request.about["runcast.request"] == mine
    assert {span.about["runcast.streams"] for span in delivered} == {"1"}
    assert all(headers["x-tenant"] == "ours" for headers in traced.collector.headers)


async def test_what_comes_by_the_ingest_stream_begins_a_trace(traced: Traced) -> None:
    async with httpx.AsyncClient(headers=HEADERS, timeout=30) as client:
        project = (await client.post(f"{traced.api}/projects", json={"name": "p"})).json()["id"]
        run = (await client.post(f"{traced.api}/projects/{project}/runs", json={})).json()["id"]
        path = f"/projects/{project}/events?subscribe_logs=all"
        async with (
            _listening(client, traced.hubs[0] + path) as listener,
            Redis.from_url(traced.redis_url) as redis,
        ):
            message = {"type": "agent:log", "run_id": run, "data": {"message": "from a worker"}}
            await redis.xadd("runcast:ingest", {"m": json.dumps(message)})
            assert "from a worker" in await anext(listener)

    def found() -> list[Kept]:
        roots = [span for span in traced.collector.spans if span.name == "ingest"]
        return [one for root in roots for one in traced.collector.of(root.trace)]

    await until(lambda: len(found()) >= 3, "the spans of a batch")
    ingest, publish, deliver = (
        next(span for span in found() if span.name == name)
        for name in ("ingest", "publish", "deliver")
    )
    assert (ingest.above, publish.above, deliver.above) == ("", ingest.id, publish.id)
    assert ingest.about == {"runcast.stream": "runcast:ingest", "runcast.messages": "1"}
