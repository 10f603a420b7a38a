"""The pools: opened whether or not Postgres is there."""

import pytest

from runcast_server import db
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
