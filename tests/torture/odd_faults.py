"""Faults that come from neighbours, not from machines: odd inputs, held locks, deleted projects."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx

from runcast._support.ids import uuid7
from runcast.contract import INGEST_STREAM
from runcast_server.auth.principal import Principal
from runcast_server.db import act_as
from tests.torture import faults
from tests.torture.cluster import Cluster
from tests.torture.faults import Stage, fault, must

FAULTS = faults.FAULTS
"""All kinds, those of this file included."""
LOCKED = ("runs", "project_counters", "log_sources", "projects", "api_keys")
MANY_PROJECTS = 300
ANSWER_SECONDS = 60.0


def deep(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


LINES = '"type":"lines","source":"s","first_line":1,"first_offset":0,"lines":["[12:00:00] x"]'
POISON = [
    '{"type":"x:a","run_id":"%s","data":' + deep(300) + "}",
    "[" * 5_000,
    '{"run_id":"%s",' + LINES + ',"at":"0001-01-01T00:00:00+14:00"}',
    '{"run_id":"%s",' + LINES + ',"flags":{"0":{"cut":"x"}}}',
    '{"run_id":"%s",' + LINES + ',"file":{"inode":-1}}',
    '{"type":"agent:failed","run_id":"%s","data":{"error":"a\\u0000b"}}',
    '{"type":"run:updated","run_id":"%s","data":{"metadata":' + deep(150) + "}}",
]


@fault("poison messages")
async def poison_messages(stage: Stage) -> str:
    """What would once have stopped ingest for good, in between everybody's good messages."""
    run = str(uuid.uuid4())
    texts = [text.replace("%s", run) for text in POISON]
    async with stage.lock("redis"):
        ids = _put(stage.cluster, texts)
    rejects = await _rejected(stage.cluster, ids)
    must(rejects, "nothing was rejected")
    return f"{len(texts)} sent, {rejects} rejected"


def _put(cluster: Cluster, texts: list[str]) -> list[str]:
    with cluster.redis_client() as client:
        return [_text(client.xadd(INGEST_STREAM, {"m": text})) for text in texts]


def _text(id: Any) -> str:
    return id.decode() if isinstance(id, bytes) else str(id)


async def _rejected(cluster: Cluster, ids: list[str]) -> int:
    async with asyncio.timeout(ANSWER_SECONDS):
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection = await cluster.connect()
                try:
                    query = "SELECT count(*) FROM ingest_rejects WHERE stream_id = ANY($1)"
                    if found := await connection.fetchval(query, ids):
                        return int(found)
                finally:
                    connection.terminate()
            await asyncio.sleep(0.1)


@fault("a table locked")
async def table_locked(stage: Stage) -> str:
    """As a migration or a VACUUM FULL does, for longer than our own time-outs."""
    async with stage.lock("postgres"), _superuser(stage) as connection:
        table = stage.chance.choice(LOCKED)
        seconds = stage.chance.uniform(2, 10)
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(seconds)
            waiting = await connection.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::regclass", table
            )
        must(waiting, f"nothing waited for {table}")
        return f"{table} for {seconds:.1f} s, {waiting} waited at its end"


@fault("postgres read-only")
async def postgres_read_only(stage: Stage) -> str:
    """A primary that was demoted, or whose operator made it so."""
    async with stage.lock("postgres"), _superuser(stage) as connection:
        seconds = stage.chance.uniform(1, 6)
        await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await connection.execute("SELECT pg_reload_conf()")
        try:
            await asyncio.sleep(seconds)
            is_read_only = await _is_read_only(stage.cluster)
        finally:
            await connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await connection.execute("SELECT pg_reload_conf()")
        must(is_read_only, "a change was still taken")
        return f"no change was taken for {seconds:.1f} s"


async def _is_read_only(cluster: Cluster) -> bool:
    connection = await cluster.connect()
    try:
        await connection.execute("UPDATE ingest_cursor SET updated_at = updated_at")
    except asyncpg.ReadOnlySQLTransactionError:
        return True
    finally:
        connection.terminate()
    return False


@contextlib.asynccontextmanager
async def _superuser(stage: Stage) -> AsyncIterator[asyncpg.Connection]:
    connection = await stage.cluster.connect()
    try:
        yield connection
    finally:
        connection.terminate()


@fault("a project deleted under its writers")
async def project_deleted(stage: Stage) -> str:
    """Its agents don't know, and go on over Redis and HTTP."""
    slug = f"doomed-{stage.chance.randrange(10**9)}"
    await _ask(stage, "POST", "/projects", {"slug": slug, "name": slug})
    run = (await _ask(stage, "POST", f"/projects/{slug}/runs", {"status": "running"}))["id"]
    entry = {"type": "agent:log", "run_id": run, "data": {"message": "on and on"}}
    _put(stage.cluster, [json.dumps(entry)] * 50)
    await _ask(stage, "DELETE", f"/projects/{slug}")
    ids = _put(stage.cluster, [json.dumps(entry)] * 50)
    rejected = await _rejected(stage.cluster, ids)
    return f"{slug}, {rejected} messages were rejected"


@fault("many projects in one commit")
async def many_projects(stage: Stage) -> str:
    """A batch with an event for each of so many projects: each is published."""
    slugs = [f"many-{number}" for number in range(MANY_PROJECTS)]
    async with _superuser(stage) as connection, connection.transaction():
        await act_as(connection, Principal(name="nemesis", is_admin=True))
        if not await connection.fetchval("SELECT true FROM projects WHERE slug = $1", slugs[-1]):
            for slug in slugs:
                epoch = stage.chance.randrange(2**31)
                await connection.execute(
                    "SELECT create_project($1, $2, $2, $3)", uuid7(), slug, epoch
                )
    messages = [
        {"type": "agent:log", "project": slug, "key": "one", "data": {"message": "m"}}
        for slug in slugs
    ]
    with stage.cluster.redis_client() as client:
        pipeline = client.pipeline(transaction=False)
        for message in messages:
            pipeline.xadd(INGEST_STREAM, {"m": json.dumps(message)})
        sent = len(pipeline.execute())
    must(sent == MANY_PROJECTS, "not all were sent")
    return f"{sent} projects"


async def _ask(stage: Stage, method: str, path: str, body: Any = None) -> Any:
    """The JSON of the answer, from whichever API answers; None for what is not there."""
    headers = {"Authorization": f"Bearer {stage.cluster.token}"}
    async with asyncio.timeout(ANSWER_SECONDS), httpx.AsyncClient(timeout=5.0) as client:
        while True:
            api = stage.chance.choice(stage.cluster.apis)
            with contextlib.suppress(httpx.TransportError):
                answer = await client.request(method, api.url + path, headers=headers, json=body)
                if answer.status_code in (404, 409):
                    return None
                if answer.is_success:
                    return answer.json() if answer.content else None
                must(answer.status_code != 500, f"{method} {path}: {answer.text}")
            await asyncio.sleep(0.2)
