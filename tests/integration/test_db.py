"""The pools: opened whether or not Postgres is there."""

import asyncio

import pytest

from runcast_server import db
from runcast_server.auth.principal import Principal
from runcast_server.db import acquire, open_database
from runcast_server.errors import Unavailable
from tests.torture.programs import free_port

pytestmark = pytest.mark.anyio


async def test_a_postgres_that_is_away_stops_no_start_and_is_told_to_who_needs_it(
    database_url: str,
) -> None:
    away = await open_database(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    with pytest.raises(Unavailable):
        async with acquire(away.log):
            pass
    await away.close()
    there = await open_database(database_url)
    async with acquire(there.log) as connection:
        assert await connection.fetchval("SELECT current_user") == db.LOG_ROLE
    await there.close()


async def test_a_caller_who_reads_much_keeps_no_other_from_the_database(database_url: str) -> None:
    database = await open_database(database_url, requests=1)
    served: list[str] = []

    async def read(name: str) -> None:
        async with database.acting(Principal(name=name)) as connection:
            await connection.fetchval("SELECT 1")
            served.append(name)

    try:
        busy = [asyncio.create_task(read("busy")) for _ in range(30)]
        await asyncio.sleep(0)
        await asyncio.gather(read("a"), read("b"), read("a"))
        assert len(served) <= 2 * 3 + 1, "each waits for one read of the busy caller"
        await asyncio.gather(*busy)
    finally:
        await database.close()
