"""Runs are locked before counters, whoever begins: of two writers of one run only one waits."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from runcast._support.ids import uuid7
from runcast_server.db import Connection, Database, acquire, open_database
from runcast_server.eventlog import frames, segments, stored
from tests.integration import rows
from tests.waiting import until

pytestmark = pytest.mark.anyio

_LOCK_RUN = "SELECT FROM runs WHERE id = $1 FOR NO KEY UPDATE"
_WAITS = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1"


@contextlib.asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[Database]:
    database = await open_database(database_url, requests=2, log=4)
    try:
        yield database
    finally:
        await database.close()


async def new_run(database: Database) -> tuple[UUID, UUID]:
    """A project, and a run in it that has no events yet."""
    project_id, run_id = await rows.project(database), uuid7()
    async with acquire(database.log) as connection:
        await connection.execute(
            """INSERT INTO runs (id, project_id, key, phase, steps, status)
               VALUES ($1, $2, 'r', 'p', '{}', 'running')""",
            run_id,
            project_id,
        )
    return project_id, run_id


async def take_number(connection: Connection, project_id: UUID, run_id: UUID) -> int:
    """The number of an event of the run, stored in the caller's transaction."""
    [one] = segments.of([frames.event("x:test", {}, run_id=run_id)])
    [row] = await connection.fetch(stored.TAKE_NUMBERS, *stored.arguments([(project_id, one)]))
    return int(row["first_number"])


async def waits(database_url: str, pid: int) -> None:
    owner = await asyncpg.connect(
        database_url
    )  # The services' roles don't see what others wait for.
    try:
        await until(lambda: owner.fetchval(_WAITS, pid), "the other writer to wait")
    finally:
        await owner.close()


async def test_a_run_s_first_event_of_a_month_waits_for_the_run_before_it_holds_the_counter(
    database_url: str,
) -> None:
    async with opened(database_url) as database:
        project_id, run_id = await new_run(database)
        async with acquire(database.log) as one, acquire(database.log) as other:
            async with one.transaction():
                await one.execute(_LOCK_RUN, run_id)
                second = asyncio.create_task(take_number(other, project_id, run_id))
                await waits(database_url, other.get_server_pid())
                assert await take_number(one, project_id, run_id) == 1
            assert await second == 2


async def test_who_changes_a_run_waits_for_its_first_event_of_a_month(database_url: str) -> None:
    async with opened(database_url) as database:
        project_id, run_id = await new_run(database)

        async def change(connection: Connection) -> int:
            async with connection.transaction():
                await connection.execute(_LOCK_RUN, run_id)
                return await take_number(connection, project_id, run_id)

        async with acquire(database.log) as one, acquire(database.log) as other:
            async with one.transaction():
                assert await take_number(one, project_id, run_id) == 1
                second = asyncio.create_task(change(other))
                await waits(database_url, other.get_server_pid())
            assert await second == 2
