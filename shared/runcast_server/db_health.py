"""Whether the roles of the services can do their work: asked as these roles, on the pools that do the work.

A login that may not become its role, a right that was taken away, a pooler that refuses statements or mixes
them up: each makes every request fail while the server itself answers. So it is named, and the process isn't
ready. Only what Postgres or a pooler refuses counts; whether it answers in time is the caller's question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import asyncpg

from runcast_server import outages
from runcast_server.db import ACCOUNTS_ROLE, LOG_ROLE, REQUEST_ROLE, Database, Pool, acquire
from runcast_server.errors import Unavailable

PROBE_SECONDS = 2.0

_NEEDS = {
    LOG_ROLE: ("segments", "INSERT"),
    REQUEST_ROLE: ("projects", "SELECT"),
    ACCOUNTS_ROLE: ("sessions", "INSERT"),
}
"""A right that each role has, and without which it can do nothing. It is asked for, not used: row-level
security answers no one who doesn't say for whom it is."""

_REFUSALS = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedTableError,
    asyncpg.ProtocolViolationError,
)
_MIXED_UP = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
OLD_POOLER = (
    "the pooler doesn't keep prepared statements apart: use PgBouncer 1.21 or later with "
    "max_prepared_statements above 0 (docs/operations.md, Poolers)"
)


async def refusal(
    database: Database, roles: Iterable[str], *, may_be_away: bool = True
) -> str | None:
    """Why one of the roles can't be used, in a line; None where nothing refuses them. Unless its place
    `may_be_away`, one that takes no connections counts as well."""
    pools = {
        LOG_ROLE: database.log,
        REQUEST_ROLE: database.requests,
        ACCOUNTS_ROLE: database.accounts,
    }
    found = await asyncio.gather(*(_refusal(pools[role], role, may_be_away) for role in roles))
    return next((why for why in found if why is not None), None)


async def _refusal(pool: Pool, role: str, may_be_away: bool) -> str | None:
    try:
        async with asyncio.timeout(PROBE_SECONDS), acquire(pool) as connection:
            table, right = _NEEDS[role]
            acting, may, is_standby = await connection.fetchrow(
                "SELECT current_user::text, has_table_privilege($1, $2), pg_is_in_recovery()",
                table,
                right,
            )
            if is_standby:
                # Demoted under our connections, which only reads would never notice.
                await pool.expire_connections()
    except _REFUSALS as error:
        return f"{role}: {outages.line_of(error)}"
    except _MIXED_UP:
        return OLD_POOLER
    except Unavailable as error:  # its reason: only a refusal counts
        cause = error.__cause__
        # One that is only late has much to do, and goes on being asked.
        is_away = isinstance(cause, OSError) and not isinstance(cause, TimeoutError)
        counts = isinstance(cause, _REFUSALS) or (is_away and not may_be_away)
        return f"{role}: {outages.line_of(cause)}" if counts and cause else None
    except outages.POSTGRES:
        return None
    if acting != role:
        return f"{role}: the session acts as {acting}"
    return None if may else f"{role}: permission denied: {right} on {table}"
