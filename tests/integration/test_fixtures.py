"""The fixtures themselves: what other tests rely on."""

import asyncpg
import pytest
import redis.asyncio

from runcast_server.process import migrate

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("round_", [1, 2])
async def test_each_test_gets_a_migrated_database_of_its_own(
    database_url: str, round_: int
) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM users") == 0
        await connection.execute("INSERT INTO users (id) VALUES (gen_random_uuid())")
        applied = await connection.fetch("SELECT version FROM schema_migrations ORDER BY version")
    finally:
        await connection.close()
    assert [row["version"] for row in applied] == migrate.versions()


@pytest.mark.parametrize("round_", [1, 2])
async def test_each_test_finds_redis_empty(redis_url: str, round_: int) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        assert await client.dbsize() == 0
        await client.set("left", "behind")
