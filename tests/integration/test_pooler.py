"""Through PgBouncer in transaction mode, as managed Postgres is often reached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from runcast_api import service as api_service
from runcast_server import db, db_health, settings
from runcast_server.db import Urls, acquire, open_database
from runcast_server.doctor import checks, postgres
from runcast_server.errors import Unavailable
from runcast_server.process import db_roles, process
from tests import pooler
from tests.integration import rows
from tests.urls import in_database

pytestmark = [pytest.mark.anyio, pytest.mark.pooler]
ROLES = (db.LOG_ROLE, db.REQUEST_ROLE, db.ACCOUNTS_ROLE)
PROCESSES = 30
Through = Callable[[str], str]


@pytest.fixture
def through(database_url: str) -> Iterator[Through]:
    """Turns a URL into the pooler's, which has as many connections as 50 leave for it."""
    with pooler.running(database_url, default_pool_size="15") as pooled:
        yield pooled


def pooled_urls(database_url: str, through: Through) -> Urls:
    urls = db_roles.embedded(database_url)
    return Urls(through(urls.log), through(str(urls.requests)), through(str(urls.accounts)))


async def test_thirty_processes_on_fifty_connections(database_url: str, through: Through) -> None:
    """Each with pools of its own, and all at once in transactions of different callers."""
    await db_roles.ensure(database_url, db_roles.embedded(database_url))
    urls = pooled_urls(database_url, through)
    databases = [await open_database(urls, requests=4, log=4, accounts=2) for _ in range(PROCESSES)]
    try:
        ids = await asyncio.gather(*(rows.project(database) for database in databases))

        async def work(database: db.Database) -> None:
            for project_id in ids[:5]:
                async with database.acting(rows.ADMIN) as connection:
                    assert await connection.fetchval("SELECT current_user") == db.REQUEST_ROLE
                    found = await connection.fetchval(
                        "SELECT slug FROM projects WHERE id = $1", project_id
                    )
                    assert found == str(project_id)
                async with acquire(database.log) as connection:
                    assert await connection.fetchval("SELECT current_user") == db.LOG_ROLE
                    assert await connection.fetchval("SHOW lock_timeout") == "5s"

        await asyncio.gather(*(work(database) for database in databases for _ in range(4)))
        assert {await db_health.refusal(database, ROLES) for database in databases} == {None}
        direct = await asyncpg.connect(database_url)
        try:
            used = await direct.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'runcast%'"
            )
        finally:
            await direct.close()
        assert used <= 45
    finally:
        await asyncio.gather(*(database.close() for database in databases))


async def test_an_owner_behind_a_pooler_is_told_to_have_logins(
    database_url: str, redis_url: str, tmp_path: Path, through: Through
) -> None:
    database = await open_database(through(database_url), requests=1, log=1)
    try:
        with pytest.raises(Unavailable) as refused:
            async with acquire(database.log):
                pass
        assert "behind a pooler" in str(refused.value.__cause__)
    finally:
        await database.close()
    read = settings.read(database_url=through(database_url), redis_url=redis_url, data=tmp_path)
    async with process.opened(read) as resources:
        found = await api_service.build(resources).ready()
    assert "give each role its own login with `runcast migrate`" in found.failing["roles"]


async def test_the_doctor_names_poolers_that_lack_something(
    database_url: str, through: Through, monkeypatch: pytest.MonkeyPatch
) -> None:
    await db_roles.ensure(database_url, db_roles.embedded(database_url))
    monkeypatch.setattr(checks, "CHECKS", {"postgres": postgres.check})
    with pooler.running(database_url, max_prepared_statements="0") as without_statements:
        for pooled, expected in (
            (through, ""),
            (without_statements, "keep prepared statements apart"),
        ):
            urls = pooled_urls(database_url, pooled)
            monkeypatch.setenv("RUNCAST_DATABASE_URL", urls.log)
            monkeypatch.setenv("RUNCAST_DATABASE_REQUESTS_URL", str(urls.requests))
            monkeypatch.setenv("RUNCAST_DATABASE_ACCOUNTS_URL", str(urls.accounts))
            found = await asyncio.to_thread(checks.examine)
            problems = "\n".join(each.text for each in found if each.state == "problem")
            assert expected in problems
            assert bool(expected) == bool(problems), problems
    monkeypatch.setenv("RUNCAST_DATABASE_URL", through(database_url))
    monkeypatch.delenv("RUNCAST_DATABASE_REQUESTS_URL")
    found = await asyncio.to_thread(checks.examine)
    assert any("change its role behind a pooler" in each.text for each in found)


async def test_a_pooler_that_knows_no_such_database_is_an_outage(
    database_url: str, through: Through
) -> None:
    """A refusal in words of the pooler's own comes as 503 and not as an internal error."""
    missing = in_database(through(db_roles.as_login(database_url, db_roles.SERVICE_LOGIN)), "none")
    database = await open_database(missing, requests=1, log=1)
    try:
        with pytest.raises(Unavailable):
            async with acquire(database.log):
                pass
    finally:
        await database.close()
