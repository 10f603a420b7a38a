"""A conversion that is killed, in the middle of a step and between two."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from typing import Any

import asyncpg

from runcast_server.process import migrate
from tests import stored_events
from tests.waiting import until

_CONVERT = """
import asyncio, sys
from runcast_server.eventlog import conversion
conversion.STEP_EVENTS = 1
asyncio.run(conversion.run(sys.argv[1], print))
"""
"""A step then takes what one statement reads: 500 events."""
_BLOCKED = "SELECT count(*) FROM pg_locks WHERE NOT granted AND $1 = ANY (pg_blocking_pids(pid))"
_OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND NOT pid = ANY ($1)
"""
_WAITING = """
SELECT e.project_id, e.seq FROM events_to_convert e CROSS JOIN conversion c
WHERE c.project_id IS NULL OR (e.project_id, e.seq) > (c.project_id, c.upto_seq)
   OR e.tableoid::regclass::text > (
       SELECT min(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'events_to_convert'::regclass)
"""


def migrate_without_converting(url: str) -> None:
    """Leaves what version 0.1 stored to be converted."""
    convert = migrate.conversion.run

    async def nothing(*_: Any) -> int:
        return 0

    migrate.conversion.run = nothing
    try:
        migrate.up(url)
    finally:
        migrate.conversion.run = convert


async def convert_with_kills(url: str, rounds: int = 3) -> None:
    """Kills converting processes: each round one in the middle of a step, which leaves no trace, and one
    right behind a step. Whenever one is gone, each event is either stored or waits, and none is twice."""
    blocking, queueing = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        everything = Counter(map(tuple, await blocking.fetch(_WAITING)))
        stored: Counter[tuple[Any, ...]] = Counter()
        for _ in range(rounds):
            for is_within in (True, False):
                await _kill(url, blocking, queueing, is_within=is_within)
                before, stored = stored, await _stored(blocking)
                waiting = Counter(map(tuple, await blocking.fetch(_WAITING)))
                assert stored + waiting == everything
                assert (len(stored) == len(before)) == is_within
    finally:
        await blocking.close()
        await queueing.close()


async def _stored(connection: Any) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for row in await connection.fetch("SELECT DISTINCT project_id FROM segments"):
        events = await stored_events.of_project(connection, row[0])
        found.update((row[0], event.seq) for event in events)
    return found


async def _kill(url: str, blocking: Any, queueing: Any, *, is_within: bool) -> None:
    """Holds a step up behind its segments, which it has stored by then. Then the process is killed there, or
    when it has committed and wants to begin the next step."""
    transaction = blocking.transaction()
    await transaction.start()
    await blocking.execute("LOCK TABLE segment_months IN EXCLUSIVE MODE")
    process = _converting(url)
    try:
        await _someone_waits_for(queueing, blocking)
        if is_within:
            process.kill()
            await asyncio.to_thread(process.wait)
            await transaction.rollback()
        else:
            async with queueing.transaction():
                place = asyncio.create_task(queueing.fetch("SELECT FROM conversion FOR UPDATE"))
                await until(lambda: _is_waiting(blocking, queueing))
                await transaction.rollback()
                await place
                await _someone_waits_for(blocking, queueing)
                process.kill()
                await asyncio.to_thread(process.wait)
    finally:
        process.kill()
        process.wait()
    ours = [each.get_server_pid() for each in (blocking, queueing)]

    async def are_gone() -> bool:
        return not await blocking.fetchval(_OTHERS, ours)

    await until(are_gone)


def _converting(url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _CONVERT, url], stdout=subprocess.DEVNULL)


async def _someone_waits_for(watching: Any, connection: Any) -> None:
    async def waits() -> bool:
        return bool(await watching.fetchval(_BLOCKED, connection.get_server_pid()))

    await until(waits)


async def _is_waiting(watching: Any, connection: Any) -> bool:
    pid = connection.get_server_pid()
    return bool(
        await watching.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = $1", pid)
    )
