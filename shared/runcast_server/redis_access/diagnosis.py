"""Is this a Redis that we can do our work with, and does the URL say rightly what it is?

What can't work at all stops a start (`WrongServer`). What works today and would hurt later is a warning: at
the start, in `/ready`, by `runcast doctor`. Asked are HELLO, CLUSTER SLOTS and INFO, which our users may;
what a server or a user of someone else's refuses isn't judged.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from redis.exceptions import RedisClusterException, ResponseError

from runcast_server import outages
from runcast_server.errors import ExplainedError
from runcast_server.redis_access import topology

LEAST_VERSION = 7
FRESH_SECONDS = 30.0
FULL = 0.9
"""The share of `maxmemory` from which on it is said."""

Warnings = dict[str, str]


class WrongServer(ExplainedError):
    """What the URL names is another kind of server than it says. The message says what to write."""


async def check_kind(client: Any, *, is_cluster: bool) -> None:
    """Raises `WrongServer`, or one of `outages.REDIS` where the server can't be asked."""
    try:
        hello = await _hello(client, is_cluster=is_cluster)
    except RedisClusterException as error:
        if "Cluster mode is not enabled" in str(error):
            raise WrongServer(
                "no server of a Redis Cluster: either it's a single one, for which RUNCAST_REDIS_URL "
                "begins with redis://, or its user may not run CLUSTER SLOTS (give it +cluster|slots "
                "+command +asking, as deploy/redis-users.acl does)"
            ) from error
        raise
    mode = hello.get("mode")
    if mode == "sentinel":
        raise WrongServer(
            "a sentinel: RUNCAST_REDIS_URL must begin with redis+sentinel:// and end with the name that "
            "sentinels know, like /mymaster"
        )
    if mode == "cluster" and not is_cluster and (number := await _primaries(client)) > 1:
        raise WrongServer(
            f"a server of a Redis Cluster with {number} primaries: RUNCAST_REDIS_URL must begin with "
            "redis+cluster://"
        )


async def _hello(client: Any, *, is_cluster: bool) -> dict[str, str]:
    """What the server, or one of a cluster, says of itself; nothing, where it doesn't know the question."""
    asked = client
    if is_cluster:
        await client.initialize()
        asked = client.get_primaries()[0]
    try:
        answer = await asked.execute_command("HELLO")
    except ResponseError:
        return {}
    if not isinstance(answer, Mapping):
        answer = dict(zip(answer[::2], answer[1::2], strict=False))
    return {_text(name): _text(value) for name, value in answer.items()}


async def _primaries(client: Any) -> int:
    try:
        slots = await client.execute_command("CLUSTER", "SLOTS")
    except ResponseError:
        return 0
    return len(topology.parsed(slots, "").servers)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


async def warnings(client: Any, *, is_cluster: bool) -> Warnings:
    """What would hurt, by short names. Raises one of `outages.REDIS`."""
    found: Warnings = {}
    try:
        await check_kind(client, is_cluster=is_cluster)
    except WrongServer as error:
        found["redis_kind"] = f"what RUNCAST_REDIS_URL names is {error}"
    found |= of_version(await _hello(client, is_cluster=is_cluster))
    for about in await _about(client, is_cluster=is_cluster):
        found |= of_settings(about)
    return found


def of_version(hello: Mapping[str, str]) -> Warnings:
    """A server without sharded pub/sub. Valkey has had it from its first version."""
    version = hello.get("version", "")
    major = int(version.partition(".")[0]) if version[:1].isdigit() else 0
    if hello and (hello.get("server", "redis") != "redis" or major >= LEAST_VERSION):
        return {}
    what = f"Redis {version}" if version else "a Redis before version 6"
    return {
        "redis_version": f"{what} has no sharded pub/sub, so all live events come late, from Postgres: "
        f"use Redis {LEAST_VERSION} or later, or Valkey"
    }


def of_settings(about: Mapping[str, Any]) -> Warnings:
    """What INFO says of eviction, persistence and room."""
    found: Warnings = {}
    policy = str(about.get("maxmemory_policy", ""))
    if policy.startswith("allkeys"):
        found["redis_eviction"] = (
            f"maxmemory-policy is {policy}: when memory is full, messages of workers that no one has read "
            "yet are thrown away; set noeviction"
        )
    if str(about.get("aof_enabled", "1")) == "0":
        found["redis_persistence"] = (
            "appendonly is no: a restart loses the messages of workers that no one has read yet, unless "
            "they come from files or spools; set appendonly yes"
        )
    used, most = int(about.get("used_memory", 0)), int(about.get("maxmemory", 0))
    if most and used >= FULL * most:
        found["redis_memory"] = (
            f"{used // 2**20} of {most // 2**20} MiB (maxmemory) are in use: when it is full, it refuses "
            "what is published and what is to be ingested; find out what fills it, or raise maxmemory"
        )
    return found


async def _about(client: Any, *, is_cluster: bool) -> list[dict[str, Any]]:
    """Answers to INFO, of each primary."""
    try:
        if not is_cluster:
            return [await client.info("memory") | await client.info("persistence")]
        answers: list[dict[str, Any]] = []
        for section in ("memory", "persistence"):
            told = await client.info(section, target_nodes=client.PRIMARIES)
            answers += [each for each in told.values() if isinstance(each, dict)] or [told]
    except ResponseError:
        return []
    return answers


class Diagnosis:
    """The warnings of a process, asked for again after `FRESH_SECONDS`."""

    def __init__(self, client: Any, *, is_cluster: bool) -> None:
        self._client = client
        self._is_cluster = is_cluster
        self._known: Warnings = {}
        self._asked_at = -FRESH_SECONDS

    async def warnings(self) -> Warnings:
        """What is known. Where Redis can't be asked now, that is what was known before."""
        if time.monotonic() - self._asked_at < FRESH_SECONDS:
            return self._known
        try:
            self._known = await warnings(self._client, is_cluster=self._is_cluster)
            self._asked_at = time.monotonic()
        except outages.REDIS:
            pass
        return self._known
