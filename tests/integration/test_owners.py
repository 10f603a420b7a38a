"""An owner of the database who is no superuser, as managed Postgres gives one: all works, and what doesn't is
said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from runcast_api import service as api_service
from runcast_hub import service as hub_service
from runcast_server import db, db_health, settings
from runcast_server.db import Database, Urls, acquire, open_database
from runcast_server.process import db_roles, migrate, process, wait_for
from runcast_server.service import Build
from tests import managed
from tests.conftest import run_sql
from tests.integration import rows
from tests.torture.programs import free_port
from tests.urls import in_database
from tests.waiting import until

pytestmark = pytest.mark.anyio
ROLES = (db.LOG_ROLE, db.REQUEST_ROLE, db.ACCOUNTS_ROLE)


@pytest.fixture(scope="module")
def owner_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The owner of a migrated database on a server of its own, whose roles this owner has made."""
    with managed.server(tmp_path_factory.mktemp("managed")) as server:
        migrate.up(server.owner_url)
        run_sql(managed.superuser(server.owner_url), "CREATE ROLE visitor LOGIN NOINHERIT")
        yield server.owner_url


def visitor(owner_url: str) -> str:
    """A login that was given nothing."""
    return db_roles.as_login(owner_url, "visitor")


@pytest.fixture
async def by_owner(owner_url: str) -> AsyncIterator[Database]:
    """As `runcast up --database-url` opens it."""
    database = await open_database(owner_url, requests=2, log=3, accounts=2)
    yield database
    await database.close()


async def test_the_owner_is_all_roles(by_owner: Database) -> None:
    project_id = await rows.project(by_owner)
    async with by_owner.acting(rows.ADMIN) as connection:
        assert await connection.fetchval("SELECT current_user") == db.REQUEST_ROLE
        assert await connection.fetchval("SELECT count(*) FROM projects WHERE id = $1", project_id)
    assert await db_health.refusal(by_owner, ROLES) is None


async def test_logins_begin_as_their_roles_and_their_stuck_sessions_are_ended(
    owner_url: str,
) -> None:
    urls = db_roles.embedded(owner_url)
    await db_roles.ensure(owner_url, urls)
    await db_roles.ensure(owner_url, urls)
    for url, role in zip((urls.log, urls.requests, urls.accounts), ROLES, strict=True):
        connection = await asyncpg.connect(url)
        try:
            assert await connection.fetchval("SELECT current_user") == role
            assert await connection.fetchval("SHOW lock_timeout") == "5s"
        finally:
            await connection.close()
    database = await open_database(urls, requests=1, log=2, accounts=1)
    try:
        assert await db_health.refusal(database, ROLES) is None
        names = {"application_name": db.REQUEST_ROLE}
        stuck = await asyncpg.connect(urls.requests, server_settings=names)
        await stuck.execute("BEGIN")
        async with acquire(database.log) as watching:
            assert await watching.fetchval("SELECT may_end_stuck_sessions()")

            async def ended() -> bool:
                query = "SELECT end_stuck_sessions(interval '0')"
                return int(await watching.fetchval(query)) == 1

            await until(ended)
        stuck.terminate()
    finally:
        await database.close()


async def test_what_may_not_be_ended_is_said(owner_url: str) -> None:
    """A session of a login that another one has made: the owner can neither see nor end it."""
    await db_roles.ensure(owner_url, db_roles.embedded(owner_url))
    log = await asyncpg.connect(db_roles.as_login(owner_url, db_roles.SERVICE_LOGIN))
    foreign = await asyncpg.connect(
        managed.superuser(owner_url), server_settings={"application_name": "runcast_log"}
    )
    try:
        assert not await log.fetchval("SELECT may_end_stuck_sessions()")
    finally:
        await foreign.close()
        await log.close()


async def test_a_role_that_may_not_be_used_is_named(owner_url: str) -> None:
    strange = await open_database(visitor(owner_url), requests=1, log=1)
    try:
        why = await db_health.refusal(strange, ROLES)
        assert why is not None
        assert "the login visitor may not become runcast_log" in why
        assert "runcast migrate" in why
    finally:
        await strange.close()


async def test_a_login_whose_place_is_away_or_another_database_is_named(
    owner_url: str, redis_url: str, tmp_path: Path
) -> None:
    """The database itself answers, and no request could be authenticated."""
    urls = db_roles.embedded(owner_url)
    await db_roles.ensure(owner_url, urls)
    nowhere = f"postgresql://runcast_accounts_login@127.0.0.1:{free_port()}/runcast"
    read = settings.read(
        database_url=urls.log,
        database_requests_url=urls.requests,
        database_accounts_url=nowhere,
        redis_url=redis_url,
        data=tmp_path,
    )
    async with process.opened(read) as resources:
        found = await api_service.build(resources).ready()
    assert "runcast_accounts: " in found.failing["roles"]
    with pytest.raises(
        wait_for.BackingServiceError, match=r"127.0.0.1:.*RUNCAST_DATABASE_ACCOUNTS_URL.*used"
    ):
        await wait_for.wait_for_logins(replace(urls, accounts=nowhere), 0, print)
    await wait_for.wait_for_logins(replace(urls, read=nowhere), 0, print)
    other = in_database(str(urls.requests), "postgres")
    for wrong in (replace(urls, requests=other), replace(urls, read=other)):
        with pytest.raises(
            wait_for.OtherDatabase, match=r"names the database postgres at .* another"
        ):
            await wait_for.wait_for_logins(wrong, 0, print)


async def test_a_search_path_that_leads_elsewhere_is_refused(owner_url: str) -> None:
    """As where the owner has a schema of its own name, which comes first in Postgres's own search_path."""
    await asyncio.to_thread(run_sql, owner_url, "CREATE SCHEMA AUTHORIZATION CURRENT_USER")
    try:
        with pytest.raises(migrate.MigrationError, match="would be made in the schema owner"):
            await asyncio.to_thread(migrate.up, owner_url)
    finally:
        await asyncio.to_thread(run_sql, owner_url, "DROP SCHEMA owner")


async def test_a_right_that_was_taken_away_is_named(owner_url: str, by_owner: Database) -> None:
    run = asyncio.to_thread
    assert await db_health.refusal(by_owner, ROLES) is None
    await run(run_sql, owner_url, "REVOKE SELECT ON projects FROM runcast_request")
    try:
        why = await db_health.refusal(by_owner, ROLES)
        assert why == "runcast_request: permission denied: SELECT on projects"
    finally:
        await run(run_sql, owner_url, "GRANT SELECT ON projects TO runcast_request")


async def test_logins_that_the_owner_may_not_make(owner_url: str) -> None:
    superuser = managed.superuser(owner_url)
    await asyncio.to_thread(run_sql, superuser, "CREATE ROLE made_by_another LOGIN")
    urls = Urls(db_roles.as_login(owner_url, "made_by_another"))
    with pytest.raises(db_roles.LoginError, match=r"owner may not set up the logins.*ADMIN OPTION"):
        await db_roles.ensure(owner_url, urls)


@pytest.mark.parametrize("build", [api_service.build, hub_service.build])
async def test_ready_says_what_the_services_meet(
    owner_url: str, redis_url: str, tmp_path: Path, build: Build
) -> None:
    """With the right logins nothing is wrong; one that can't become its role is named."""
    urls = db_roles.embedded(owner_url)
    await db_roles.ensure(owner_url, urls)
    for requests, expected in (
        (urls.requests, ""),
        (owner_url, ""),
        (visitor(owner_url), "visitor"),
    ):
        read = settings.read(
            database_url=urls.log,
            database_requests_url=requests,
            database_accounts_url=urls.accounts,
            redis_url=redis_url,
            data=tmp_path,
        )
        async with process.opened(read) as resources:
            found = await build(resources).ready()
            why = found.failing.get("roles", "")
            assert expected in why
            assert bool(expected) == bool(why), why
