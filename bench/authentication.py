"""What knowing the caller costs: `python -m bench.authentication`, CPU time per request or transaction."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

import jwt
from pydantic import SecretStr
from starlette.datastructures import Headers
from tests import servers
from tests.integration import rows
from tests.urls import in_database

from runcast_server.auth import rate_limits, tokens
from runcast_server.auth.origins import Origins
from runcast_server.auth.principal import Authenticator, Principal, presented
from runcast_server.auth.rate_limits import PerMinute
from runcast_server.db import Database, acquire, open_database
from runcast_server.eventlog.bus import Bus
from runcast_server.process import migrate
from runcast_server.settings import AuthSettings

SECRET = "a secret of at least thirty-two bytes"
ROUNDS = 20_000


async def per_call(call: Callable[[], Awaitable[Any]], rounds: int) -> float:
    """Microseconds of this process's CPU."""
    await call()
    begun = time.process_time()
    for _ in range(rounds):
        await call()
    return (time.process_time() - begun) / rounds * 1e6


async def per_transaction(call: Callable[[], Awaitable[Any]], rounds: int) -> float:
    """Microseconds on the clock, the database's included; the best of five, as others use the machine."""
    await call()
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(rounds // 5):
            await call()
        best = min(best, (time.perf_counter() - begun) / (rounds // 5) * 1e6)
    return best


def scope(token: str) -> dict[str, Any]:
    headers = [
        (b"host", b"localhost:8000"),
        (b"authorization", f"Bearer {token}".encode()),
        (b"accept", b"*/*"),
        (b"user-agent", b"bench"),
    ]
    return {"method": "POST", "headers": headers, "path": "/", "query_string": b""}


@contextlib.asynccontextmanager
async def opened(database_url: str, redis_url: str) -> AsyncIterator[tuple[Database, Bus]]:
    database, bus = await open_database(database_url, requests=2, log=2), Bus(redis_url)
    try:
        yield database, bus
    finally:
        await bus.close()
        await database.close()


async def measure(database_url: str, redis_url: str) -> None:
    async with opened(database_url, redis_url) as (database, bus):
        settings = AuthSettings(jwt_secret=SecretStr(SECRET))
        authenticator = tokens.authenticator(database, settings)
        unbounded = PerMinute(10**9, 10**9)
        counting = rate_limits.RequestLimits(rate_limits.storage(bus), unbounded, unbounded)
        origins = Origins.of((), None)
        key = await rows.admin_key(database)
        token = jwt.encode({"sub": "ann", "exp": 2**31}, SECRET, algorithm="HS256")
        for name, shown in (("API key", key), ("JWT", token)):
            asked = scope(shown)

            async def known(asked: dict[str, Any] = asked) -> None:
                origins.admit(asked)
                caller = await authenticator.principal(presented(Headers(scope=asked)))
                counting.count(caller)

            print(f"{name}, remembered: {await per_call(known, ROUNDS):.1f} µs a request")
            cost = await per_transaction(partial(fresh, authenticator, shown), 2000)
            print(f"{name}, read again (every 3 s): {cost:.0f} µs")
        await counting.close()
        await row_level_security(database)


async def fresh(authenticator: Authenticator, token: str) -> Principal:
    authenticator.forget()
    return await authenticator.principal(token)


async def row_level_security(database: Database) -> None:
    """A run looked up as the request role, and as the event log, which passes by a plain policy."""
    project = await rows.project(database)
    async with acquire(database.log) as connection:
        run: UUID = await connection.fetchval(
            """INSERT INTO runs (id, project_id, phase, steps, status)
               VALUES (gen_random_uuid(), $1, 'p', '{}', 'running') RETURNING id""",
            project,
        )
    caller = Principal(name="key:k", project_id=project, role=None, is_admin=True)

    async def guarded() -> None:
        async with database.acting(caller) as connection:
            await connection.fetchrow("SELECT * FROM runs WHERE id = $1", run)

    async def unguarded() -> None:
        async with (
            acquire(database.log) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.fetchrow("SELECT * FROM runs WHERE id = $1", run)

    plain, checked = await per_transaction(unguarded, 3000), await per_transaction(guarded, 3000)
    print(f"a run read: {plain:.0f} µs without, {checked:.0f} µs with acting user and policies")


def main() -> None:
    with servers.postgres() as postgres_url, servers.redis() as redis_url:
        url = in_database(postgres_url, "bench")
        migrate.up(url)
        asyncio.run(measure(url, redis_url))


if __name__ == "__main__":
    main()
