"""The Redis users of `deploy/redis-users.acl`: each does its work, and nothing else."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis
import redis.asyncio

from runcast._support.ids import uuid7
from runcast.contract import INGEST_STREAM, TAILER_STREAM
from runcast_server.embedded import valkey
from runcast_tailer import service as tailer_service
from tests.integration import rest, streams
from tests.waiting import until

pytestmark = pytest.mark.anyio

FILE = Path(__file__).parents[2] / "deploy" / "redis-users.acl"
USERS = {line.split()[1]: line.split()[2:] for line in FILE.read_text().splitlines()}
EXHAUST = f"{2**64 - 1}-{2**64 - 1}"
SERVERS = ("api", "hub", "tailer", "worker")


@pytest.fixture
def users(redis_url: str) -> Iterator[redis.Redis]:
    """The users, with their names as passwords; every command that one of them is denied is counted."""
    with redis.Redis.from_url(redis_url) as admin:
        for name, rules in USERS.items():
            if name != "default":
                rules = [rule.replace(f"#{{{name}}}", f">{name}") for rule in rules]
                admin.execute_command("ACL SETUSER", name, "reset", *rules)
        admin.acl_log_reset()
        yield admin
        for name in USERS:
            if name != "default":
                admin.acl_deluser(name)


def url_of(redis_url: str, user: str) -> str:
    parts = urlsplit(redis_url)
    return urlunsplit(parts._replace(netloc=f"{user}:{user}@{parts.hostname}:{parts.port}"))


@contextlib.asynccontextmanager
async def as_user(redis_url: str, user: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(url_of(redis_url, user)) as client:
        yield client


def test_the_embedded_server_gives_workers_the_same_rights() -> None:
    assert USERS[valkey.WORKER] == ["on", "#{worker}", *valkey.WORKER_RULES.split()]


def test_the_default_user_is_shut_out() -> None:
    assert USERS["default"] == ["off"]


async def test_the_services_need_no_more_than_their_users_may(
    database_url: str, redis_url: str, users: redis.Redis, tmp_path: Path
) -> None:
    async with (
        rest.serving(database_url, url_of(redis_url, "api"), tmp_path, is_running=True) as api,
        streams.hub(database_url, url_of(redis_url, "hub")) as served,
        rest.serving(
            database_url, url_of(redis_url, "tailer"), tmp_path, tail_project="demo"
        ) as beside,
    ):
        project = await api.project("demo")
        run = await api.run("demo", key="followed", status="running")
        path = f"/projects/{project}/events?subscribe_logs=all"
        async with streams.stream(served, path) as reader:
            await api.admin.post(f"/runs/{run}/logs", json={"message": "over HTTP"})
            async with as_user(redis_url, "worker") as worker:
                data = {"message": "from a worker"}
                message = {"type": "agent:log", "run_id": run, "data": data}
                await worker.xadd(INGEST_STREAM, {"m": json.dumps(message)})
            folder = tmp_path / "runs" / "followed"
            folder.mkdir(parents=True)
            (folder / "logs.txt").write_text("from a file\n")
            async with tailer_service.build(beside.resources).running():
                await reader.until(lambda r: len(r.of("agent:log")) >= 3)
            await api.admin.delete(f"/projects/{project}")
            await reader.ended()
        lines = {frame.data["line"] for frame in reader.of("agent:log")}
    assert lines == {"over HTTP", "from a worker", "from a file"}
    denied = [(entry["username"], entry["object"]) for entry in users.acl_log()]
    assert denied == []


DENIED_TO_ALL = (
    ("FLUSHALL",),
    ("CONFIG", "GET", "*"),
    ("ACL", "LIST"),
    ("KEYS", "*"),
    ("SHUTDOWN",),
    ("MONITOR",),
    ("SET", "something", "else"),
    ("CLIENT", "LIST"),
)
DENIED = {
    "worker": (
        ("XRANGE", INGEST_STREAM, "-", "+"),
        ("XDEL", INGEST_STREAM, "1-1"),
        ("DEL", INGEST_STREAM),
        ("XTRIM", INGEST_STREAM, "MAXLEN", "0"),
        ("XSETID", INGEST_STREAM, EXHAUST),
        ("XADD", TAILER_STREAM, "*", "m", "{}"),
        ("XADD", TAILER_STREAM, "MAXLEN", "0", "*", "m", "{}"),
        ("XADD", "runcast:{p}:stream", "*", "a", "b"),
        ("SPUBLISH", "runcast:{p}:live", "d"),
        ("SSUBSCRIBE", "runcast:{p}:live"),
        ("SUBSCRIBE", "x"),
        ("EVAL", "return 1", "0"),
        ("GET", "runcast:limit:x"),
    ),
    "tailer": (
        ("XDEL", TAILER_STREAM, "1-1"),
        ("XADD", INGEST_STREAM, "*", "m", "{}"),
        ("XADD", "runcast:{p}:stream", "*", "a", "b"),
        ("SPUBLISH", "runcast:{p}:live", "d"),
        ("EVAL", "return 1", "0"),
    ),
    "hub": (
        ("XADD", INGEST_STREAM, "*", "m", "{}"),
        ("XRANGE", INGEST_STREAM, "-", "+"),
        ("HSET", "runcast:{p}:head", "seq", "1"),
        ("DEL", "runcast:{p}:stream"),
        ("EVAL", "return redis.call('HSET', KEYS[1], 'a', 'b')", "1", "runcast:{p}:head"),
    ),
    "api": (("HGETALL", "runcast:lease:x"), ("SSUBSCRIBE", "runcast:{p}:live")),
}


@pytest.mark.parametrize("user", SERVERS)
async def test_nobody_may_more_than_his_work_needs(
    redis_url: str, users: redis.Redis, user: str
) -> None:
    async with as_user(redis_url, user) as client:
        assert await client.ping()
        for command in (*DENIED_TO_ALL, *DENIED[user]):
            with pytest.raises(redis.exceptions.ResponseError, match=r"NOPERM|permissions|ACL"):
                await client.execute_command(*command)
            assert users.acl_log()[0]["username"] == user, command


async def test_what_a_worker_does_to_its_stream_reaches_no_other(
    database_url: str, redis_url: str, users: redis.Redis, tmp_path: Path
) -> None:
    """It takes away what waits, ends the stream by its last id and sends the largest entries: lines of files
    arrive meanwhile, and the workers' own messages again within seconds."""
    async with (
        rest.serving(database_url, url_of(redis_url, "api"), tmp_path, is_running=True) as api,
        rest.serving(
            database_url, url_of(redis_url, "tailer"), tmp_path, tail_project="d"
        ) as files,
        as_user(redis_url, "worker") as worker,
        as_user(redis_url, "worker") as honest,
    ):
        await api.project("d")
        run = await api.run("d", key="followed", status="running")
        folder = tmp_path / "runs" / "followed"
        folder.mkdir(parents=True)
        written: list[str] = []
        async with tailer_service.build(files.resources).running():
            for number in range(4):
                await _attack(worker)
                with (folder / "logs.txt").open("a") as log:
                    log.write(f"from a file {number}\n")
                written.append(f"from a file {number}")
                message = {"type": "agent:log", "run_id": run, "data": {"message": f"w {number}"}}
                await until(lambda message=message: _is_taken(honest, message))
                written.append(f"w {number}")
                await until(lambda: _has(api, run, written))


async def _attack(worker: redis.asyncio.Redis) -> None:
    attacks: tuple[tuple[Any, ...], ...] = (
        ("XADD", INGEST_STREAM, "*", "m", b"x" * 40_000_000),
        ("XADD", INGEST_STREAM, "MAXLEN", "0", "*", "m", "x"),
        ("XADD", INGEST_STREAM, EXHAUST, "m", "x"),
        ("XADD", INGEST_STREAM, "*", "m", "x"),
        ("XADD", TAILER_STREAM, "MAXLEN", "0", "*", "m", "x"),
        ("XADD", TAILER_STREAM, EXHAUST, "m", "x"),
    )
    for attack in attacks:
        with contextlib.suppress(redis.exceptions.ResponseError):
            await worker.execute_command(*attack)


async def _is_taken(client: redis.asyncio.Redis, message: dict[str, Any]) -> bool:
    try:
        return bool(await client.xadd(INGEST_STREAM, {"m": json.dumps(message)}))
    except redis.exceptions.ResponseError:
        return False  # the stream is at its end, until the ingester has read it


async def _has(api: rest.Rest, run: str, texts: list[str]) -> bool:
    answer = await api.admin.get(f"/runs/{run}/logs?limit=1000")
    return sorted(entry["message"] for entry in answer.json()["logs"]) == sorted(texts)


async def test_a_worker_adds_to_the_ingest_stream(redis_url: str, users: redis.Redis) -> None:
    async with as_user(redis_url, "worker") as client:
        assert await client.xadd(INGEST_STREAM, {"m": json.dumps({"id": str(uuid7())})})
