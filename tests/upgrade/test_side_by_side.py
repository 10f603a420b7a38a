"""Processes of the last release on this version's schema, beside those of this version, under load.

Migrations only add until no running version needs what they replace. So in a rolling update both write, and
both read what either wrote: nothing is lost, doubled or refused, and the old ones end in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from runcast_server.process import credentials, db_roles
from tests.integration.streams import Reader
from tests.processes import Process
from tests.upgrade import previous
from tests.waiting import until, wait_for

pytestmark = [pytest.mark.anyio, pytest.mark.history]
ROUNDS = 40
"""Of each API: a round is a request or two."""


@dataclass(frozen=True)
class Deployment:
    """An API and a hub of one version."""

    api: httpx.AsyncClient
    hub: str
    processes: tuple[Process, Process]


@pytest.fixture
async def token(database_url: str) -> str:
    return await credentials.admin_token(database_url, None)


@pytest.fixture
def started(
    database_url: str, redis_url: str, token: str, tmp_path: Path
) -> Iterator[list[tuple[Process, Process]]]:
    """The API and the hub of the last release, and those of this one."""
    asyncio.run(db_roles.ensure(database_url, db_roles.embedded(database_url)))
    urls = db_roles.embedded(database_url)
    environ = {
        "RUNCAST_DATABASE_URL": urls.log,
        "RUNCAST_DATABASE_REQUESTS_URL": str(urls.requests),
        "RUNCAST_DATABASE_ACCOUNTS_URL": str(urls.accounts),
        "RUNCAST_REDIS_URL": redis_url,
        "RUNCAST_PORT": "0",
        "RUNCAST_START_WAIT_S": "60",
    }
    code = tmp_path / "code"
    old = {"PYTHONPATH": previous.unpack(code)}
    command = [sys.executable, "-c", "import runcast_api; print(runcast_api.__file__)"]
    found = subprocess.run(
        command, env=os.environ | old, capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith(str(code))
    made = []
    for name, more in (("old", old), ("new", {})):
        directory = tmp_path / name
        directory.mkdir()
        pair = tuple(Process(directory, [service], environ | more) for service in ("api", "hub"))
        made.append((pair[0], pair[1]))
    everything = [process for pair in made for process in pair]
    try:
        for process in everything:
            process.start()
        yield made
    finally:
        for process in everything:
            process.cleanup()


def url_of(process: Process) -> str:
    wait_for(
        lambda: "is running: " in process.said or process.has_ended,
        "its address",
        lambda: process.said,
    )
    assert not process.has_ended, process.said
    return process.said.partition("is running: ")[2].split()[0]


@contextlib.asynccontextmanager
async def reading(hub: str, token: str, project: str) -> AsyncIterator[Reader]:
    """All of a project, from its first event."""
    async with (
        httpx.AsyncClient(base_url=hub, headers={"Authorization": f"Bearer {token}"}) as client,
        client.stream(
            "GET",
            f"/projects/{project}/events?subscribe_logs=all&last_event_id=0",
            timeout=httpx.Timeout(30, read=None),
        ) as response,
    ):
        assert response.status_code == 200
        reader = Reader(response)
        task = asyncio.create_task(reader.run())
        try:
            yield reader
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def work(api: httpx.AsyncClient, project: str, shared_run: str, name: str) -> None:
    """What agents do, by one API: lines of a run that both write to, and a run of its own."""

    async def sent(method: str, path: str, body: object) -> dict[str, object]:
        answer = await api.request(method, path, json=body)
        assert answer.status_code < 300, f"{name}: {method} {path}: {answer.text}"
        found = answer.json()
        return found if isinstance(found, dict) else {}

    for number in range(ROUNDS):
        await sent("POST", f"/runs/{shared_run}/logs", {"message": f"{name} {number}"})
        if number % 10 == 0:
            run = str((await sent("POST", f"/projects/{project}/runs", {"name": name}))["id"])
            content = {"step_name": "plan", "content": {"by": name}}
            await sent("POST", f"/runs/{run}/artifacts", content)
            await sent("PATCH", f"/runs/{run}", {"status": "completed"})
            await sent("POST", f"/projects/{project}/tasks", {"title": f"{name} {number}"})


async def test_the_last_release_runs_on_beside_this_one(
    started: list[tuple[Process, Process]], token: str
) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with contextlib.AsyncExitStack() as stack:
        apis = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=url_of(api), headers=headers, timeout=60)
            )
            for api, _ in started
        ]
        made = await apis[1].post("/projects", json={"name": "p", "slug": "p"})
        project = made.json()["id"]
        run = (await apis[1].post(f"/projects/{project}/runs", json={})).json()["id"]
        readers = [
            await stack.enter_async_context(reading(url_of(hub), token, project))
            for _, hub in started
        ]
        await asyncio.gather(
            *(work(api, project, run, name) for api, name in zip(apis, ("old", "new"), strict=True))
        )
        page = await apis[0].get(f"/projects/{project}")
        last = int(page.headers["runcast-head"])
        for reader in readers:
            await until(lambda reader=reader: last in reader.ids, "the last event")
            assert [id for id in reader.ids if id <= last] == list(range(1, last + 1))
            lines = [frame.data["line"] for frame in reader.of("agent:log")]
            assert sorted(lines) == sorted(
                f"{name} {number}" for name in ("old", "new") for number in range(ROUNDS)
            )
        for api in apis:
            log = await api.get(f"/runs/{run}/logs?limit=1000")
            assert len(log.json()["logs"]) == 2 * ROUNDS
    for process in started[0]:
        assert process.stop() == 0, process.said
        assert "Traceback" not in process.said
