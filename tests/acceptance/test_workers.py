"""`--workers N`: one port, several processes; one that dies, and all restarted one by one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest
from tests.processes import Process, Up
from tests.readers import Readers, reading
from tests.waiting import until, wait_for

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

SECRET = "a secret of thirty-two characters, at least"
STREAMS = 300
LINES = 200


@pytest.fixture
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="runcast-test-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def service(directory: Path, environ: dict[str, str], *arguments: str) -> Iterator[Process]:
    directory.mkdir()
    process = Process(directory, list(arguments), environ)
    process.start()
    try:
        wait_for(
            lambda: process.has_ended or "is running: " in process.said,
            "its address",
            lambda: process.said,
        )
        yield process
    finally:
        process.cleanup()


def address(process: Process) -> str:
    return process.said.partition("is running: ")[2].split()[0]


def workers_of(process: Process) -> set[int]:
    """The process ids of its workers."""
    assert process.running is not None
    return {
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _parent_of_worker(entry) == process.running.pid
    }


def _parent_of_worker(entry: Path) -> int:
    with contextlib.suppress(OSError):
        if b"runcast_server.process.worker" not in (entry / "cmdline").read_bytes():
            return 0
        found = re.search(r"^PPid:\s+(\d+)", (entry / "status").read_text(), re.MULTILINE)
        return int(found[1]) if found else 0
    return 0


async def test_streams_spread_over_workers_and_one_that_dies_is_replaced(
    directory: Path, database_url: str, redis_url: str
) -> None:
    environ = {
        "RUNCAST_DATABASE_URL": database_url,
        "RUNCAST_REDIS_URL": redis_url,
        "RUNCAST_PORT": "0",
        "RUNCAST_JWT_SECRET": SECRET,
        "RUNCAST_SSE_MAX_CONNECTIONS_PER_USER": "0",
        "RUNCAST_DATABASE_POOL_SIZE": "3",
    }
    token = jwt.encode({"sub": "ada", "role": "admin"}, SECRET, algorithm="HS256")
    headers = {"Authorization": f"Bearer {token}"}
    with (
        service(directory / "api", environ, "api") as api,
        service(directory / "hub", environ, "hub", "--workers", "3") as hub,
    ):
        url = address(hub)
        # A connection for each request: one that is kept may lead to the worker that dies.
        fresh = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(headers=headers, timeout=30, limits=fresh) as client:
            made = await client.post(f"{address(api)}/projects", json={"name": "p"})
            readers = Readers(url, f"/projects/{made.json()['id']}/events", headers)

            async def hubs() -> Counter[str]:
                found = await client.get(f"{url}/admin/connections")
                return Counter(one["hub"] for one in found.json()["connections"])

            async def counted() -> float:
                text = (await client.get(f"{url}/metrics")).text
                found = re.search(r"^runcast_hub_connections (\S+)", text, re.MULTILINE)
                return float(found[1]) if found else 0.0

            async def is_whole() -> bool:
                with contextlib.suppress(httpx.TransportError):  # it fell to the worker that dies
                    return sum((await hubs()).values()) == await counted() == STREAMS
                return False

            async with reading(readers, STREAMS):
                await until(is_whole, "all streams, in the list and in the metrics")
                before = await hubs()
                assert len(before) == 3
                assert min(before.values()) >= 0.6 * max(before.values()), before

                doomed = min(workers_of(hub))
                os.kill(doomed, signal.SIGKILL)
                await until(lambda: doomed not in workers_of(hub))
                await until(is_whole, "the dead worker's streams on others")
                await until(lambda: len(workers_of(hub)) == 3, "a worker in its place")
        assert "worker.died" in hub.said
        assert hub.stop() == 0
        assert not workers_of(hub)


async def test_a_restart_one_by_one_loses_nothing_and_refuses_nobody(directory: Path) -> None:
    up = Up.at(directory, "--workers", "2", RUNCAST_DATABASE_POOL_SIZE="3")
    try:
        await asyncio.to_thread(up.start_ready)
        readers = Readers(up.url, "/projects/default/events", up.headers)
        old = workers_of(up)
        async with httpx.AsyncClient(base_url=up.url, headers=up.headers, timeout=30) as client:
            await client.post("/projects", json={"name": "default", "slug": "default"})
            run = (await client.post("/projects/default/runs", json={})).json()["id"]
            async with reading(readers, 5):
                refused = await _write_through_a_restart(up, client, run, old)
                await until(lambda: all(len(ids) == LINES for ids in readers.positions))
        assert refused == 0
        assert readers.refused == 0
        assert readers.other_answers == []
        assert readers.opened > len(readers.positions), "streams moved to new workers"
        for ids in readers.positions:
            assert ids == sorted(set(ids))
        assert not (workers_of(up) & old)
        up.signal(signal.SIGTERM)
        assert up.ended() == 0
    finally:
        up.cleanup()


async def _write_through_a_restart(
    up: Up, client: httpx.AsyncClient, run: str, old: set[int]
) -> int:
    """Events, one after the other, from before the restart until after it; how many attempts to connect
    were refused. What was cut off is sent again with its key, and stored once."""
    refused = 0
    written = 0
    while written < LINES:
        if written == LINES // 4:
            up.signal(signal.SIGHUP)
        if written == LINES - 10 and workers_of(up) & old:
            await asyncio.sleep(0.05)
            continue
        body = {"stage": "writing", "message": str(written)}
        try:
            answer = await client.post(
                f"/runs/{run}/progress", json=body, headers={"Idempotency-Key": f"n{written}"}
            )
            assert answer.status_code in (201, 503), answer.text
            written += answer.status_code == 201
        except httpx.ConnectError:
            refused += 1
        except httpx.TransportError:
            pass
    return refused
