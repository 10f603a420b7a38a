"""redis-py's clients for programs beside the servers, by every kind of URL (`redis_url`)."""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
from redis.connection import SSLConnection, parse_url

from runcast._support import redis_url
from runcast._support.redis_url import RedisUrl


def connect(url: str) -> Any:
    """A blocking client. Raises `ValueError` for a URL that is none."""
    parsed = redis_url.parse(url)
    if parsed.kind == "server":
        return redis.Redis.from_url(url)
    options = _options(parsed)
    if parsed.kind == "cluster":
        node: Any = redis.cluster.ClusterNode
        seeds = [node(host, port) for host, port in parsed.hosts]
        return redis.RedisCluster(startup_nodes=seeds, **options)
    sentinel: Any = redis.sentinel.Sentinel
    made = sentinel(parsed.hosts, sentinel_kwargs=_of_sentinels(parsed, options), **options)
    return made.master_for(parsed.service)


def connect_async(url: str) -> Any:
    """The same for asyncio."""
    parsed = redis_url.parse(url)
    if parsed.kind == "server":
        return redis.asyncio.Redis.from_url(url)
    options = _options(parsed)
    if parsed.kind == "cluster":
        seeds = [redis.asyncio.cluster.ClusterNode(host, port) for host, port in parsed.hosts]
        return redis.asyncio.RedisCluster(startup_nodes=seeds, **options)
    sentinel: Any = redis.asyncio.sentinel.Sentinel
    made = sentinel(parsed.hosts, sentinel_kwargs=_of_sentinels(parsed, options), **options)
    return made.master_for(parsed.service)


def close(client: Any) -> None:
    """Closes a blocking client, and what it knows sentinels by."""
    client.close()
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    for sentinel in getattr(manager, "sentinels", ()):
        sentinel.close()


async def aclose(client: Any) -> None:
    """The same for asyncio."""
    await client.aclose()
    if (nodes := getattr(client, "nodes_manager", None)) is not None:
        # After an error redis-py takes the connections to a cluster for closed.
        for kind in ("nodes_cache", "startup_nodes"):
            await nodes.aclose(kind)
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    for sentinel in getattr(manager, "sentinels", ()):
        await sentinel.aclose()


def _options(parsed: RedisUrl) -> dict[str, Any]:
    """The URL's options, without the host that each connection has for itself."""
    parse: Any = parse_url
    options: dict[str, Any] = dict(parse(parsed.plain))
    if options.pop("connection_class", None) is SSLConnection:
        options["ssl"] = True
    for name in ("host", "port"):
        options.pop(name, None)
    return options


def _of_sentinels(parsed: RedisUrl, options: dict[str, Any]) -> dict[str, Any]:
    """How the sentinels themselves are reached."""
    own = {"username": parsed.sentinel_username, "password": parsed.sentinel_password}
    return own | {name: value for name, value in options.items() if name.startswith("ssl")}
