"""What "storage is away" means: the errors that pass by themselves, for every service.

Postgres or Redis may be down, starting, failing over, full, out of memory, locked, or refuse our password.
Code that meets such an error keeps what it has and tries again. Any other error belongs to the item that was
worked on and costs that item alone (`loops.item`).

Postgres errors are classed by SQLSTATE (PostgreSQL manual, appendix A):
08 connection, 28 authorization, 40 rollback that asks for a retry, 53 insufficient resources (disk full, out
of memory, too many connections), 57 operator intervention (shutdown, cancelled queries), 58 system errors,
25006 a primary that became read-only, 25P03 and 25P04 transactions that took too long, 55P03 lock time-outs.
"""

from __future__ import annotations

import asyncpg
import redis
from redis.exceptions import RedisClusterException

from runcast_server.errors import Unavailable

POSTGRES = (
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.TransactionRollbackError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.LockNotAvailableError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a session that was ended while a cancelled query was awaited
    OSError,
    TimeoutError,
)
"""What a call to Postgres raises while it can't serve. Also holds asyncpg's own error for an argument that
can't be encoded, which `is_outage` tells apart: it is a `ValueError` too."""

POSTGRES_SAYS = (*POSTGRES, asyncpg.PostgresError)
"""The same while connecting, where whatever Postgres says is no item's fault."""

REDIS = (
    redis.RedisError,
    RedisClusterException,  # not derived from RedisError
    RuntimeError,  # uvloop, where a connection is closed under redis-py: "the handler is closed"
    OSError,
    TimeoutError,
)
"""What a call to Redis raises while it can't serve."""

LOGGED = 500
"""Characters of an error that are logged: it may hold what it is about."""

ANY = (Unavailable, *POSTGRES, *REDIS)
"""Either of them, and the refusal (503) that already stands for one."""


def is_outage(error: BaseException) -> bool:
    """Whether `error` passes by itself, so that the same work succeeds later.

    Tells apart what `except outages.ANY` can't: an argument that asyncpg can't encode is an item's own
    fault, though its class derives from `InterfaceError`, and so is a `RuntimeError` of ours.
    """
    if isinstance(error, RuntimeError):
        return "closed" in str(error)
    return isinstance(error, ANY) and not isinstance(error, ValueError)


def line_of(error: BaseException) -> str:
    """What an error says, in one line."""
    said = str(error).strip().partition("\n")[0]
    if not said and isinstance(error, TimeoutError):
        return "no answer in time"
    return said or type(error).__name__


def named(error: BaseException) -> str:
    """An error's kind and what it says, in one line that is not too long, for the log. (`repr` of an error of
    redis-py leaves out what it says.)"""
    kind, said = type(error).__name__, line_of(error)
    return kind if said == kind else f"{kind}: {said}"[:LOGGED]
