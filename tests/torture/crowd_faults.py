"""Faults by numbers and by disks: a crowd that leaves at once, and a Postgres whose disk is full."""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
import time
from collections.abc import AsyncIterator

import asyncpg

from tests.torture import faults
from tests.torture.faults import Stage, fault, must
from tests.torture.stream import Refused, Stream, open_stream

FAULTS = faults.FAULTS
"""All kinds, those of this file included."""
CROWD = 1_500
AT_ONCE = 100
"""Streams that are being opened at the same time."""
OPENING_SECONDS = 60.0
SILENT_SECONDS = 15.0
"""A Postgres that takes no connections for so long once there is room again is started again."""
_FILLS = "CREATE TEMP TABLE fills AS SELECT repeat('x', 1000) FROM generate_series(1, 4000)"


@fault("a crowd left at once")
async def crowd_left(stage: Stage) -> str:
    """Streams that all end in one moment: more leases and more ended connections than any pool has."""
    _allow_files()
    streams: list[Stream] = []
    turns = asyncio.Semaphore(AT_ONCE)
    chance = random.Random(stage.chance.random())

    async def come() -> None:
        reader = chance.choice(stage.readers)
        headers = {"Authorization": f"Bearer {reader.token}", "Last-Event-ID": str(2**40)}
        async with turns:
            with contextlib.suppress(Refused, OSError):
                port = chance.choice(reader.hubs())
                stream = await open_stream(port, reader.path, headers, lambda _: None)
                streams.append(stream)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(OPENING_SECONDS):
            await asyncio.gather(*(come() for _ in range(CROWD)))
    living = [stream for stream in streams if not stream.ended.is_set()]
    for stream in streams:
        stream.close()
    must(living, "no stream was open")
    return f"{len(living)} of {CROWD} streams ended at once"


def _allow_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@fault("postgres's disk full")
async def postgres_disk_full(stage: Stage) -> str:
    """No file of Postgres grows any more; the first that must ends it, as on a full disk."""
    async with stage.lock("postgres"):
        before = stage.cluster.postgres.pid
        stage.cluster.postgres.fill_disk()
        try:
            refused = await _refused(stage)
            await asyncio.sleep(stage.chance.uniform(0.5, 3))
        finally:
            await _comes_back(stage)
        must(refused, "a table could be filled")
        return f"{refused}; {before} → {stage.cluster.postgres.pid}"


async def _comes_back(stage: Stage) -> None:
    """Makes room and waits until Postgres takes connections, as `runcast up` does: one that has ended is
    started, and one that waits for ever for one of its own processes, which its full disk ended while it
    recovered, is ended first."""
    postgres = stage.cluster.postgres
    began = time.monotonic()
    async with asyncio.timeout(faults.RESTART_SECONDS):
        while True:
            await asyncio.to_thread(postgres.empty_disk)
            with contextlib.suppress(asyncpg.PostgresError, OSError):
                async with _connection(stage):
                    return
            if time.monotonic() - began > SILENT_SECONDS:
                await asyncio.to_thread(postgres.stop)
                began = time.monotonic()
            await asyncio.sleep(0.2)


async def _refused(stage: Stage) -> str:
    """How Postgres refuses to store something, or to talk at all."""
    try:
        async with _connection(stage) as connection:
            await connection.execute(_FILLS)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        return repr(error)[:120]
    return ""


@contextlib.asynccontextmanager
async def _connection(stage: Stage) -> AsyncIterator[asyncpg.Connection]:
    connection = await stage.cluster.connect()
    try:
        yield connection
    finally:
        connection.terminate()
