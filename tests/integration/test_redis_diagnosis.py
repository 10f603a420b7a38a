"""Wrong Redis servers are named at the start, in `/ready` and by `runcast doctor`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from runcast.cli.doctor_report import OK, PROBLEM, WARNING, Finding
from runcast_server import settings
from runcast_server.doctor import redis as doctor
from runcast_server.process import wait_for
from runcast_server.redis_access import diagnosis
from runcast_server.redis_access.diagnosis import WrongServer
from tests.integration import rest
from tests.redis_cluster import RedisCluster
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def examined(url: str) -> list[Finding]:
    return [finding async for finding in doctor.check(settings.read(redis_url=url))]


async def refused(url: str) -> str:
    """Why a start on this server is refused, at once and not after the time that one waits for a server."""
    with pytest.raises(WrongServer) as raised:
        await wait_for.wait_for_redis(url, 600.0, lambda _: None)
    assert [each.state for each in await examined(url)] == [PROBLEM]
    return str(raised.value)


@contextlib.contextmanager
def configured(url: str, **chosen: str) -> Iterator[None]:
    """A server with these settings, as long as the block lasts."""
    with redis.Redis.from_url(url) as client:
        before = {name: client.config_get(name)[name] for name in chosen}
        try:
            for name, value in chosen.items():
                client.config_set(name, value)
            yield
        finally:
            for name, value in before.items():
                client.config_set(name, value)


async def test_a_cluster_named_as_one_server_and_the_reverse_are_explained(
    slots: RedisCluster, redis_url: str, database_url: str, tmp_path: Path
) -> None:
    plain = slots.url("api", "redis").partition(",")[0]
    said = await refused(plain)
    assert "3 primaries" in said
    assert "redis+cluster://" in said
    as_cluster = redis_url.replace("redis://", "redis+cluster://")
    assert "begins with redis://" in await refused(as_cluster)
    # Each primary is asked. None of these is persistent.
    found = await examined(slots.url("api"))
    assert [(each.state, each.text.partition(" is ")[0]) for each in found] == [
        (WARNING, "appendonly")
    ]
    # One that became a cluster under a process that runs.
    async with rest.serving(database_url, plain, tmp_path) as api:
        ready = await api.service.ready()
        # The probe's key may happen to lie at this very server.
        assert "redis+cluster://" in str(ready.degraded.get("redis") or ready.warnings)
    assert slots.denied() == []


async def test_what_evicts_or_forgets_unread_messages_is_named(
    redis_url: str, database_url: str, tmp_path: Path
) -> None:
    keeps = {"maxmemory-policy": "noeviction", "appendonly": "yes"}
    with configured(redis_url, **keeps):
        assert [(each.state, each.about) for each in await examined(redis_url)] == [(OK, "redis")]
    wrong = {"maxmemory-policy": "allkeys-lru", "appendonly": "no"}
    with configured(redis_url, **wrong):
        found = {each.state: each.text for each in await examined(redis_url)}
        assert "allkeys-lru" in found[PROBLEM]
        assert "appendonly" in found[WARNING]
        said: list[str] = []
        await wait_for.wait_for_redis(redis_url, 1.0, said.append)
        assert [text.partition(" ")[0] for text in said] == ["warning:", "warning:"]
        async with rest.serving(database_url, redis_url, tmp_path) as api:
            ready = await api.service.ready()
            assert ready.warnings.keys() == {"redis_eviction", "redis_persistence"}


async def test_a_server_that_is_nearly_full_is_named(redis_url: str) -> None:
    keeps = {"maxmemory-policy": "noeviction", "appendonly": "yes", "maxmemory": "0"}
    with redis.Redis.from_url(redis_url) as client, configured(redis_url, **keeps):
        client.set("filler", "x" * 40_000_000)
        assert [each.state for each in await examined(redis_url)] == [OK]

        async def is_named() -> bool:
            # What is in use moves by itself: buffers of the file that it appends to, and its rewriting.
            used = int(client.info("memory")["used_memory"])
            client.config_set("maxmemory", int(used * 1.04))
            text = "\n".join(each.text for each in await examined(redis_url))
            return "(maxmemory) are in use: when it is full, it refuses" in text

        await until(is_named, "a warning")
        client.config_set("maxmemory", 0)
        client.delete("filler")


@pytest.mark.parametrize(
    ("hello", "is_named"),
    [
        ({"server": "redis", "version": "6.2.14"}, True),
        ({}, True),
        ({"server": "redis", "version": "7.0.0"}, False),
        ({"server": "redis", "version": "8.2"}, False),
        ({"server": "valkey", "version": "8.1.0"}, False),
    ],
)
def test_a_redis_without_sharded_pubsub_is_named(hello: dict[str, str], is_named: bool) -> None:
    assert ("redis_version" in diagnosis.of_version(hello)) == is_named


async def test_a_server_that_is_none_is_said_in_one_line() -> None:
    found = await examined("redis+sentinel://127.0.0.1:1/main")
    assert [(each.state, each.text) for each in found] == [
        (PROBLEM, "no sentinel answers and names a primary called 'main'")
    ]
    said: list[str] = []
    with pytest.raises(wait_for.BackingServiceError, match=r"127\.0\.0\.1:1,127\.0\.0\.1:2"):
        await asyncio.wait_for(
            wait_for.wait_for_redis("redis+cluster://127.0.0.1:1,127.0.0.1:2", 0.0, said.append),
            30,
        )


async def test_a_password_that_is_missing_or_wrong_is_asked_for(redis_url: str) -> None:
    place = redis_url.rpartition("@")[2]
    for url in (f"redis://{place}", f"redis://worker:wrong@{place}"):
        with pytest.raises(wait_for.BackingServiceError, match="RUNCAST_REDIS_URL names it: redis"):
            await wait_for.wait_for_redis(url, 0.0, print)
