"""Thirty API processes on a Postgres that takes fifty connections, through PgBouncer in transaction mode."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import jwt
import pytest
from tests import pooler, servers
from tests.processes import Process
from tests.waiting import until, wait_for

from runcast_server import embedded
from runcast_server.process import db_roles, migrate

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.deployment,
    pytest.mark.pooler,
    pytest.mark.timeout(600),
]

PROCESSES = 30
CONNECTIONS = 50
EACH = 10
SECRET = "a secret of thirty-two characters, at least"
HEADERS = {"Authorization": f"Bearer {jwt.encode({'sub': 'a', 'role': 'admin'}, SECRET, 'HS256')}"}


@pytest.fixture
def small_postgres() -> Iterator[str]:
    with servers.directory() as data:
        server = embedded.Postgres(
            data, extra={"fsync": "off", "max_connections": str(CONNECTIONS)}
        )
        server.start()
        try:
            migrate.up(server.url)
            yield server.url
        finally:
            server.stop(5)


@contextlib.contextmanager
def _apis(directory: Path, environ: dict[str, str]) -> Iterator[list[str]]:
    """The addresses of all of them, started a few at a time."""
    made: list[Process] = []
    urls: list[str] = []
    try:
        for number in range(PROCESSES):
            home = directory / f"api-{number}"
            home.mkdir()
            made.append(Process(home, ["api"], environ))
        for some in (made[place : place + 5] for place in range(0, PROCESSES, 5)):
            for each in some:
                each.start()
            for each in some:
                wait_for(
                    lambda each=each: each.has_ended or "is running: " in each.said,
                    "an API",
                    lambda each=each: each.said,
                    180,
                )
                urls.append(each.said.partition("is running: ")[2].split()[0])
        yield urls
    finally:
        for each in made:
            each.cleanup()


async def test_thirty_api_processes_on_fifty_connections(
    small_postgres: str, redis_url: str, tmp_path: Path
) -> None:
    logins = db_roles.embedded(small_postgres)
    await db_roles.ensure(small_postgres, logins)
    with pooler.running(small_postgres, default_pool_size="14") as through:
        environ = {
            "RUNCAST_DATABASE_URL": through(logins.log),
            "RUNCAST_DATABASE_REQUESTS_URL": through(str(logins.requests)),
            "RUNCAST_DATABASE_ACCOUNTS_URL": through(str(logins.accounts)),
            "RUNCAST_REDIS_URL": redis_url,
            "RUNCAST_PORT": "0",
            "RUNCAST_JWT_SECRET": SECRET,
            "RUNCAST_START_WAIT_S": "120",
        }
        with _apis(tmp_path, environ) as urls:
            await _work(urls, small_postgres)


async def _work(urls: list[str], postgres_url: str) -> None:
    limits = httpx.Limits(max_connections=300)
    direct = await asyncpg.connect(postgres_url)
    used: list[int] = []

    async def watch() -> None:
        while True:
            used.append(await direct.fetchval("SELECT count(*) FROM pg_stat_activity"))
            await asyncio.sleep(0.1)

    async with httpx.AsyncClient(headers=HEADERS, timeout=60, limits=limits) as client:
        watching = asyncio.create_task(watch())
        made = await client.post(f"{urls[0]}/projects", json={"name": "p", "slug": "p"})
        assert made.is_success, made.text
        run = (await client.post(f"{urls[0]}/projects/p/runs", json={})).json()["id"]

        async def write(url: str, number: int) -> int:
            """Sent again until it's stored: thirty processes on two cores may be late with anything."""
            body, key = {"message": f"{url} {number}"}, {"Idempotency-Key": f"{url} {number}"}
            while True:
                with contextlib.suppress(httpx.TransportError):
                    answer = await client.post(f"{url}/runs/{run}/logs", json=body, headers=key)
                    read = await client.get(f"{url}/runs/{run}")
                    if 503 not in (answer.status_code, read.status_code):
                        assert read.status_code == 200, read.text
                        return answer.status_code
                await asyncio.sleep(1)

        answers = await asyncio.gather(*(write(url, n) for n in range(EACH) for url in urls))
        assert set(answers) == {201}

        async def all_ready() -> bool:
            found = await asyncio.gather(*(client.get(f"{url}/ready") for url in urls))
            return all(each.status_code == 200 and not each.json()["degraded"] for each in found)

        await until(all_ready, "all to be ready", seconds=300)
        last = (await client.get(f"{urls[-1]}/runs/{run}")).json()["last_line_number"]
        assert last == EACH * PROCESSES
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    await direct.close()
    assert max(used) <= CONNECTIONS
