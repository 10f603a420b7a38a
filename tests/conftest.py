"""Fixtures for everyone: real servers once per session, a database of its own for each test.

`database_url` is a fresh copy of a template that dbmate migrated, so a test neither pays for the
migrations nor sees what another one wrote. `redis_url` is the session's Redis, emptied.
"""

import asyncio
import itertools
import os
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import asyncpg
import hypothesis
import pytest
import redis

from runcast_server.process import db_roles, migrate
from tests import browser, pooler, redis_cluster, servers
from tests.upgrade import previous
from tests.urls import in_database

OWNER = "owner"

# The same examples each time, so that a failure is the change's; RUNCAST_TEST_EXPLORE looks for new ones
# (RUNCAST_TEST_EXPLORE=5000: for so many where a test is a model).
# How long an example takes to make or to run says something of the machine and nothing of the product.
_PATIENT: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [hypothesis.HealthCheck.too_slow],
}
hypothesis.settings.register_profile("repeatable", derandomize=True, **_PATIENT)
hypothesis.settings.register_profile("explore", **_PATIENT)
hypothesis.settings.load_profile(
    "explore" if os.environ.get("RUNCAST_TEST_EXPLORE") else "repeatable"
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a Chromium or a PgBouncer where there is none, and what must be asked for."""
    asked_for = {"deployment": "RUNCAST_TEST_DEPLOYMENT", "compose": "RUNCAST_TEST_COMPOSE"}
    unasked = [marker for marker, name in asked_for.items() if not os.environ.get(name)]
    for marker in [*_absent(), *unasked]:
        left_out = [item for item in items if item.get_closest_marker(marker)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _absent() -> dict[str, str]:
    programs: dict[str, tuple[object, str]] = {
        "browser": (browser.chromium(), "Chromium"),
        "pooler": (pooler.program(), "PgBouncer of 1.21 or later"),
        "history": (previous.is_known() or None, "history of the last release"),
    }
    return {marker: name for marker, (found, name) in programs.items() if found is None}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for marker, name in _absent().items():
        said = f"no {name} here: {marker} tests were left out"
        terminalreporter.write_line(said, yellow=True)


@pytest.fixture(scope="session", autouse=True)
def pooled() -> Iterator[None]:
    """With `RUNCAST_TEST_POOLER` all pools connect through a PgBouncer (`make test-pooler`)."""
    with pooler.everywhere() if os.environ.get("RUNCAST_TEST_POOLER") else nullcontext():
        yield


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A superuser's URL of the session's Postgres server, database `postgres`."""
    with servers.postgres() as url:
        yield url


@pytest.fixture(scope="session")
def redis_server_url() -> Iterator[str]:
    """The session's Redis server."""
    with servers.redis() as url:
        yield url


@pytest.fixture(scope="session")
def redis_servers() -> Iterator[redis_cluster.RedisCluster]:
    """The session's Redis Cluster: started for the first test that asks for it, in about 3 s."""
    with servers.directory() as root, redis_cluster.running(root) as cluster:
        yield cluster


@pytest.fixture
def slots(redis_servers: redis_cluster.RedisCluster) -> redis_cluster.RedisCluster:
    """The session's Redis Cluster, whole and empty."""
    redis_servers.settle()
    redis_servers.empty()
    redis_servers.denied()
    return redis_servers


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> str:
    """The name of a migrated database that has no connections. With `RUNCAST_TEST_OWNER` it and all copies
    belong to an owner without superuser (`make test-owner`)."""
    url = in_database(postgres_url, "runcast_template")
    if os.environ.get("RUNCAST_TEST_OWNER"):
        run_sql(postgres_url, f"CREATE ROLE {OWNER} LOGIN NOSUPERUSER CREATEROLE")
        run_sql(postgres_url, f"CREATE DATABASE runcast_template OWNER {OWNER}")
        url = db_roles.as_login(url, OWNER)
    migrate.up(url)
    return "runcast_template"


@pytest.fixture(scope="session")
def database_names() -> Iterator[str]:
    return (f"test_{number}" for number in itertools.count(1))


@pytest.fixture
def database_url(
    postgres_url: str, template_database: str, database_names: Iterator[str]
) -> Iterator[str]:
    """A migrated database for this test alone; dropped with whoever is still connected."""
    name = next(database_names)
    is_owned = bool(os.environ.get("RUNCAST_TEST_OWNER"))
    copy = f"CREATE DATABASE {name} TEMPLATE {template_database} STRATEGY FILE_COPY"
    run_sql(postgres_url, f"{copy} OWNER {OWNER}" if is_owned else copy)
    url = in_database(postgres_url, name)
    yield db_roles.as_login(url, OWNER) if is_owned else url
    run_sql(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """The session's Redis, empty."""
    with redis.Redis.from_url(redis_server_url) as client:
        client.flushall()
    return redis_server_url


def run_sql(url: str, statement: str) -> None:
    """One statement outside of any transaction block."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())
