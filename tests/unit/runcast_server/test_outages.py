"""Which errors say that storage is away, and which are an item's own fault."""

import asyncpg
import pytest
import redis
from redis.exceptions import RedisClusterException

from runcast_server import outages
from runcast_server.errors import Invalid, Unavailable

PASSES = [
    asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
    asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
    asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
    asyncpg.DiskFullError("could not extend file"),
    asyncpg.OutOfMemoryError("out of memory"),
    asyncpg.InvalidPasswordError("password authentication failed"),
    asyncpg.TooManyConnectionsError("sorry, too many clients already"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.DeadlockDetectedError("deadlock detected"),
    asyncpg.InterfaceError("connection is closed"),
    redis.ConnectionError("Connection refused"),
    redis.ResponseError("OOM command not allowed when used memory > 'maxmemory'"),
    redis.ReadOnlyError("You can't write against a read only replica."),
    RedisClusterException('Slot "4843" is not covered by the cluster.'),
    RuntimeError(
        "unable to perform operation on <TCPTransport closed=True>; the handler is closed"
    ),
    ConnectionResetError(),
    TimeoutError(),
    Unavailable("no database connection became free in time"),
]
ITEM = [
    asyncpg.UniqueViolationError("duplicate key value"),
    asyncpg.NumericValueOutOfRangeError("bigint out of range"),
    asyncpg.exceptions._base.DataError("invalid input for query argument $1"),
    RuntimeError("dictionary changed size during iteration"),
    RecursionError("maximum recursion depth exceeded"),
    OverflowError("date value out of range"),
    ValueError("not JSON"),
    Invalid("body.steps"),
]


@pytest.mark.parametrize("error", PASSES, ids=lambda error: type(error).__name__)
def test_storage_that_is_away_is_waited_for(error: Exception) -> None:
    assert outages.is_outage(error)
    assert isinstance(error, outages.ANY)


@pytest.mark.parametrize("error", ITEM, ids=lambda error: type(error).__name__)
def test_anything_else_is_the_item_s_own_fault(error: Exception) -> None:
    assert not outages.is_outage(error)


def test_what_is_logged_says_what_redis_said() -> None:
    """The `repr` of redis-py's errors doesn't."""
    full = redis.ResponseError("MISCONF Errors writing to the AOF file: No space left on device")
    assert outages.named(full) == f"ResponseError: {full}"
    assert outages.named(TimeoutError()) == "TimeoutError: no answer in time"
    assert outages.named(KeyError()) == "KeyError"
    assert len(outages.named(ValueError("x" * 10_000))) == outages.LOGGED
