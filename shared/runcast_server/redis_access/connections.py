"""Connections that notice when they lead to the wrong server.

After a planned failover the old primary may live on as a replica, and nothing closes the connections to it:
every write is refused with READONLY for as long as they stay open. So a connection that hears READONLY closes
itself and reports a lost connection; the next use connects again, which asks DNS, a proxy or the sentinels
where the primary is now.

redis-py closes connections of a cluster under the tasks that use them when it learns of a new topology. What
such a task then meets (`'NoneType' object has no attribute 'writelines'`) is a lost connection too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.asyncio.connection import (
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection
from redis.exceptions import ConnectionError, ReadOnlyError

DEMOTED = "the server is read-only: a replica, or a primary that was demoted"


@contextmanager
def _lost_when_closed() -> Iterator[None]:
    try:
        yield
    except (AttributeError, RuntimeError) as error:
        raise ConnectionError(f"the connection was closed while it was used: {error}") from error


class _Honest:
    """Mixed into redis-py's connections."""

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        with _lost_when_closed():
            await super().send_packed_command(*args, **kwargs)  # type: ignore[misc]

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            with _lost_when_closed():
                return await super().read_response(*args, **kwargs)  # type: ignore[misc]
        except ReadOnlyError as error:
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]
            raise ConnectionError(DEMOTED) from error


class ServerConnection(_Honest, Connection):
    """By TCP."""


class EncryptedConnection(_Honest, SSLConnection):
    """By TLS."""


class SocketConnection(_Honest, UnixDomainSocketConnection):
    """By a socket of this machine."""


class SentinelConnection(_Honest, SentinelManagedConnection):
    """To the primary that the sentinels name."""


class EncryptedSentinelConnection(_Honest, SentinelManagedSSLConnection):
    """The same by TLS."""


OURS: dict[Any, type] = {
    Connection: ServerConnection,
    SSLConnection: EncryptedConnection,
    UnixDomainSocketConnection: SocketConnection,
}
"""Ours for each of redis-py's."""
