"""redis-py's clients, made from a URL: of one server, of a cluster, of what sentinels name.

All of them are bounded in connections, wait for one instead of failing, give each command a deadline, and
raise one of `outages.REDIS`.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator
from typing import Any

import redis.asyncio as redis
from redis.asyncio.cluster import ClusterNode, ClusterPipeline, RedisCluster
from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from runcast._support.redis_url import Host, RedisUrl
from runcast_server.redis_access import connections

COMMAND_SECONDS = 5.0
CONNECT_SECONDS = 3.0
SENTINEL_SECONDS = 1.0
"""How long one sentinel is waited for before the next one is asked."""
CONNECTIONS = 32
"""Connections to one server of one process; a call beyond that waits for one, up to `COMMAND_SECONDS`.
redis-py's ordinary pool raises at its limit: a commit to 300 projects then lost 200 of its publishes."""
PIPELINES = 16
"""Pipelines to a cluster at once, each of which takes a connection to several of its servers."""

_POOL: dict[str, Any] = {"max_connections": CONNECTIONS, "timeout": COMMAND_SECONDS}


def once() -> Retry:
    """A command whose connection was lost is sent once more."""
    return Retry(NoBackoff(), 1)


def never() -> Retry:
    """The first error of a connection is raised: what came meanwhile would go unnoticed otherwise."""
    return Retry(NoBackoff(), 0, ())


def options(url: RedisUrl, seconds: float = COMMAND_SECONDS) -> dict[str, Any]:
    """What each connection is made with: the URL's options, and our time-outs where it names none.

    Raises `ValueError` for an option that no connection has.
    """
    found: dict[str, Any] = dict(parse_url(url.plain))
    if unknown := found.keys() - _known(url, found) - {"connection_class"}:
        raise ValueError(f"has an option that is not known: {', '.join(sorted(unknown))}")
    given = {"socket_timeout": seconds, "socket_connect_timeout": CONNECT_SECONDS}
    if "path" not in found:
        given["socket_keepalive"] = True
    return given | found


def _known(url: RedisUrl, found: dict[str, Any]) -> set[str]:
    """The options that a client of this kind takes."""
    if url.kind == "cluster":
        return set(inspect.signature(RedisCluster.__init__).parameters)
    kind = found.get("connection_class", Connection)
    return {"max_connections", "timeout"}.union(
        *(inspect.signature(each.__init__).parameters for each in kind.__mro__)
    )


def connect(url: RedisUrl, seconds: float = COMMAND_SECONDS, retry: Retry | None = None) -> Any:
    """A client of what the URL names, whose commands may take this many seconds. The caller closes it."""
    chosen = options(url, seconds)
    retry = retry or once()
    match url.kind:
        case "cluster":
            return ClusterClient(url.hosts, chosen, retry)
        case "sentinel":
            return _of_sentinels(url, chosen, retry)
    return _of_server(chosen, retry)


def connect_to(url: RedisUrl, host: Host, seconds: float, retry: Retry) -> Any:
    """A client of one server of a cluster, with the URL's options."""
    name, port = host
    return _of_server(options(url, seconds) | {"host": name, "port": port}, retry)


def _of_server(chosen: dict[str, Any], retry: Retry) -> Any:
    kind = chosen.pop("connection_class", Connection)
    pool = redis.BlockingConnectionPool(
        connection_class=connections.OURS[kind], retry=retry, **_POOL | chosen
    )
    return redis.Redis.from_pool(pool)


class _Sentinels(Sentinel):
    """Says in one line why no primary is known; redis-py's own text shows every connection."""

    async def discover_master(self, service_name: str) -> Any:
        try:
            return await super().discover_master(service_name)
        except MasterNotFoundError:
            raise MasterNotFoundError(
                f"no sentinel answers and names a primary called {service_name!r}"
            ) from None
        except ResponseError as error:
            raise MasterNotFoundError(f"what should be a sentinel refuses: {error}") from error


class _SentinelPool(SentinelConnectionPool, redis.BlockingConnectionPool):
    """Connections to the primary that the sentinels name; waits for one where all are in use."""

    async def aclose(self) -> None:
        """Closes the connections to the sentinels, too."""
        await super().aclose()
        await self.sentinel_manager.aclose()


def _of_sentinels(url: RedisUrl, chosen: dict[str, Any], retry: Retry) -> Any:
    is_encrypted = chosen.pop("connection_class", None) is SSLConnection
    for name in ("host", "port"):
        chosen.pop(name, None)
    asking = {
        "socket_timeout": SENTINEL_SECONDS,
        "socket_connect_timeout": SENTINEL_SECONDS,
        "username": url.sentinel_username,
        "password": url.sentinel_password,
        "ssl": is_encrypted,
        **{name: value for name, value in chosen.items() if name.startswith("ssl_")},
    }
    sentinels: Any = _Sentinels
    pools: Any = _SentinelPool
    kind = (
        connections.EncryptedSentinelConnection if is_encrypted else connections.SentinelConnection
    )
    pool = pools(
        url.service,
        sentinels(url.hosts, sentinel_kwargs=asking),
        connection_class=kind,
        retry=retry,
        **_POOL | chosen,
    )
    return redis.Redis.from_pool(pool)


class ClusterClient(RedisCluster):
    """Commands to a cluster, each to the server that holds its slot. It follows MOVED, and learns the slots
    again when a server can't be reached."""

    def __init__(self, hosts: tuple[Host, ...], chosen: dict[str, Any], retry: Retry) -> None:
        chosen = dict(chosen)
        for name in ("host", "port", "db"):
            chosen.pop(name, None)
        is_encrypted = chosen.pop("connection_class", None) is SSLConnection
        limit = chosen.pop("max_connections", CONNECTIONS)
        super().__init__(
            startup_nodes=[ClusterNode(host, port) for host, port in hosts],
            ssl=is_encrypted,
            # Bounded by the turns below; beyond this redis-py raises instead of waiting.
            max_connections=4 * (limit + PIPELINES),
            retry=retry,
            **chosen,
        )
        ours = connections.EncryptedConnection if is_encrypted else connections.ServerConnection
        self.connection_kwargs["connection_class"] = ours
        for node in self.nodes_manager.startup_nodes.values():
            node.connection_class = ours
        self._turns = asyncio.Semaphore(limit)
        self.pipeline_turns = asyncio.Semaphore(PIPELINES)

    async def aclose(self) -> None:
        """Closes all connections, also after an error, when redis-py takes them for closed."""
        await super().aclose()
        for kind in ("nodes_cache", "startup_nodes"):
            await self.nodes_manager.aclose(kind)

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        async with turn(self._turns):
            return await super().execute_command(*args, **kwargs)

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> ClusterPipeline:
        pipelines: Any = _Pipeline
        made: ClusterPipeline = pipelines(self, transaction)
        return made


class _Pipeline(ClusterPipeline):
    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> Any:
        client: Any = self.cluster_client
        async with turn(client.pipeline_turns):
            return await super().execute(raise_on_error, allow_redirections)


@contextlib.asynccontextmanager
async def turn(turns: asyncio.Semaphore) -> AsyncIterator[None]:
    """Waits for a connection to be free. Raises `TimeoutError` where none is in time."""
    async with asyncio.timeout(COMMAND_SECONDS):
        await turns.acquire()
    try:
        yield
    finally:
        turns.release()
