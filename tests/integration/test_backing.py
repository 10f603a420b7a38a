"""Postgres and Redis that are absent, late, empty or closed to us at the start."""

import asyncio
import re
import socket
import time
from pathlib import Path

import asyncpg
import pytest

from runcast_server import embedded
from runcast_server.db import Urls
from runcast_server.process import credentials, db_roles, migrate, wait_for
from tests.conftest import run_sql
from tests.urls import in_database

pytestmark = pytest.mark.anyio


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_absent_servers_are_awaited_out_loud_and_then_given_up(closed_port: int) -> None:
    for wait, url in (
        (wait_for.wait_for_postgres, f"postgresql://u:hunter2@127.0.0.1:{closed_port}/db"),
        (wait_for.wait_for_redis, f"redis://:hunter2@127.0.0.1:{closed_port}/0"),
    ):
        said: list[str] = []
        started = time.monotonic()
        with pytest.raises(
            wait_for.BackingServiceError, match=f"127.0.0.1:{closed_port} can't be used"
        ) as raised:
            await wait(url, 0.7, said.append)
        assert time.monotonic() - started > 0.6
        assert len(said) == 1
        assert "giving up in" in said[0]
        assert "hunter2" not in f"{said} {raised.value}"


async def test_a_server_that_comes_late_is_found(tmp_path: Path) -> None:
    server = embedded.Valkey(tmp_path, extra={"appendonly": "no"})
    await asyncio.to_thread(server.start)
    url = server.port_url
    await asyncio.to_thread(server.stop, 5)
    said = asyncio.Event()
    waiting = asyncio.create_task(wait_for.wait_for_redis(url, 60, lambda text: said.set()))
    await said.wait()
    await asyncio.to_thread(server.start)
    await waiting
    await asyncio.to_thread(server.stop, 5)


async def test_a_pooler_of_the_services_that_is_away_is_awaited_and_named(
    closed_port: int,
) -> None:
    """The owner's own way to the database, which was asked before, needs no pooler."""
    late, setting = f"postgresql://u@127.0.0.1:{closed_port}/x", "RUNCAST_DATABASE_SERVICE_URL"
    what = f"Postgres at 127.0.0.1:{closed_port} ({setting})"
    said: list[str] = []
    with pytest.raises(wait_for.BackingServiceError, match=re.escape(f"{what} can't be used")):
        await wait_for.wait_for_logins(Urls(late), 0.1, said.append, setting)
    assert said[0].startswith(f"waiting for {what}")


async def test_a_wrong_password_is_named(redis_server_url: str) -> None:
    place = redis_server_url.removeprefix("redis://").rpartition("@")[2]
    with pytest.raises(wait_for.BackingServiceError, match=r"(?i)password|auth"):
        await wait_for.wait_for_redis(f"redis://:wrong@{place}", 0, lambda text: None)


async def test_a_database_without_our_schema_asks_for_migrations(postgres_url: str) -> None:
    with pytest.raises(
        wait_for.BackingServiceError, match=r"lacks \d+ migrations: run `runcast migrate`"
    ):
        await wait_for.wait_for_schema(postgres_url, 0, lambda text: None)
    absent = in_database(postgres_url, "no_such_database")
    with pytest.raises(
        wait_for.BackingServiceError, match="no such database: run `runcast migrate`"
    ):
        await wait_for.wait_for_schema(absent, 0, lambda text: None)
    await wait_for.wait_for_postgres(absent, 0, lambda text: None)


async def test_a_migrated_database_is_good(database_url: str) -> None:
    said: list[str] = []
    await wait_for.wait_for_schema(database_url, 0, said.append)
    assert said == []
    assert migrate.up(database_url) == []


async def test_a_database_of_a_later_version_is_good_and_said(database_url: str) -> None:
    """A process of the last version goes on during an update."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("INSERT INTO schema_migrations VALUES ('29991231000000')")
    await connection.close()
    said: list[str] = []
    await wait_for.wait_for_schema(database_url, 0, said.append)
    assert "of a later version of Runcast (29991231000000)" in said[0]


async def test_processes_that_migrate_at_once_wait_for_each_other(postgres_url: str) -> None:
    url = in_database(postgres_url, "migrated_at_once")
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("CREATE DATABASE migrated_at_once")
    await connection.close()
    applied = await asyncio.gather(*(asyncio.to_thread(migrate.up, url) for _ in range(3)))
    assert sorted(len(each) for each in applied) == [0, 0, len(migrate.versions())]
    await wait_for.wait_for_schema(url, 0, lambda text: None)


async def test_an_unusable_database_is_explained(closed_port: int) -> None:
    with pytest.raises(migrate.MigrationError, match="can't be reached"):
        migrate.up(f"postgresql://u@127.0.0.1:{closed_port}/db")


async def test_the_administrators_key_is_kept_while_the_database_knows_it(
    database_url: str,
) -> None:
    first = await credentials.admin_token(database_url, None)
    assert await credentials.admin_token(database_url, first) == first
    connection = await asyncpg.connect(database_url)
    try:
        stored = await connection.fetch("SELECT * FROM api_keys")
        assert len(stored) == 1
        assert first not in str(stored)
        await connection.execute("UPDATE api_keys SET revoked_at = now()")
    finally:
        await connection.close()
    assert await credentials.admin_token(database_url, first) != first


async def test_a_postgres_that_goes_away_while_it_is_asked_is_awaited(
    monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    """Between the first answer and the question for the schema, as in the middle of a restart."""
    asked: list[asyncpg.Connection] = []
    applied = wait_for._applied

    async def ended(connection: asyncpg.Connection) -> list[str]:
        asked.append(connection)
        if len(asked) == 1:
            connection.terminate()
        return await applied(connection)

    monkeypatch.setattr(wait_for, "_applied", ended)
    monkeypatch.setattr(wait_for, "RETRY_SECONDS", 0.01)
    said: list[str] = []
    await wait_for.wait_for_schema(database_url, 10, said.append)
    assert len(asked) == 2
    assert len(said) == 1


async def test_the_owners_own_login_is_not_made_one_of_the_services(database_url: str) -> None:
    """It would begin as a role that owns nothing, and no one could undo that."""
    with pytest.raises(db_roles.LoginError, match="postgres is the owner or a superuser"):
        await db_roles.ensure(database_url, Urls(database_url))
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT current_user") == "postgres"
    await connection.close()


@pytest.mark.parametrize(
    ("options", "first", "says"),
    [
        ("ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'", "SELECT 1", "is SQL_ASCII: make"),
        ("", "CREATE TABLE runs (id int)", "tables of another program: name an empty one"),
        ("", "ALTER DATABASE odd SET default_transaction_read_only = on", "takes no writes"),
    ],
)
def test_a_database_that_cannot_be_ours_is_refused_with_what_to_do(
    postgres_url: str, options: str, first: str, says: str
) -> None:
    run_sql(postgres_url, f"CREATE DATABASE odd TEMPLATE template0 {options}")
    try:
        odd = in_database(postgres_url, "odd")
        run_sql(odd, first)
        with pytest.raises(migrate.MigrationError, match=says):
            migrate.up(odd)
    finally:
        run_sql(postgres_url, "DROP DATABASE odd WITH (FORCE)")
