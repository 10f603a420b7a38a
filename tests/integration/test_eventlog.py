"""The event log's promise: whatever is interleaved, killed or repeated, the stream is 1..n."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runcast_server.db import Database, acquire, open_database
from runcast_server.errors import Conflict, Problem
from runcast_server.eventlog import chains, frames, history, segments
from runcast_server.eventlog.bus import Bus, Head, Keys
from runcast_server.eventlog.chains import Chain
from runcast_server.eventlog.log import EventLog, Transaction
from runcast_server.eventlog.publisher import Publisher
from tests.integration import rows
from tests.waiting import until

pytestmark = pytest.mark.anyio


@dataclass
class Parts:
    """One process's event log on the session's servers."""

    database: Database
    bus: Bus
    publisher: Publisher
    log: EventLog

    async def new_project(self) -> UUID:
        return await rows.project(self.database)

    async def stream(self, project_id: UUID) -> bytes:
        """All frames that Redis has, in order."""
        entries = await self.bus.client.xrange(Keys.of(project_id).stream)
        return b"".join([chains.unpack(one[b"t"] + one[b"f"]).frames for _, one in entries])

    async def stored(self, project_id: UUID) -> bytes:
        """The frames of all events in Postgres."""
        async with acquire(self.database.log) as connection:
            chain = await history.chain(connection, project_id, 7, 0, 10**9)
        return chain.frames if chain else b""


@contextlib.asynccontextmanager
async def opened(database_url: str, redis_url: str) -> AsyncIterator[Parts]:
    database = await open_database(database_url, requests=2, log=8)
    bus = Bus(redis_url)
    publisher = Publisher(bus, database.log)
    log = EventLog(database.log, publisher)
    try:
        yield Parts(database, bus, publisher, log)
    finally:
        await log.close()
        await publisher.close()
        await bus.close()
        await database.close()


def emitting(project_id: UUID, count: int, name: str):
    async def change(transaction: Transaction) -> str:
        for number in range(count):
            transaction.emit(project_id, frames.event("x:test", {"by": name, "n": number}))
        return name

    return change


def numbers(data: bytes) -> list[int]:
    return [int(line[4:]) for line in data.split(b"\n") if line.startswith(b"id: ")]


async def published(parts: Parts, project_id: UUID, upto: int) -> None:
    async def is_published() -> bool:
        return await parts.bus.heads([project_id]) == [Head(7, upto)]

    await until(is_published, f"{upto} to be published")


async def test_concurrent_writers_of_two_processes_make_one_stream(
    database_url: str, redis_url: str
) -> None:
    async with opened(database_url, redis_url) as one, opened(database_url, redis_url) as other:
        project_id = await one.new_project()
        sizes = [random.Random(1).randint(1, 5) for _ in range(120)]
        await asyncio.gather(
            *(
                (one if index % 2 else other).log.commit(
                    project_id, emitting(project_id, size, str(index))
                )
                for index, size in enumerate(sizes)
            )
        )
        await published(one, project_id, sum(sizes))
        # The first block met a Redis without a head, which was then set to Postgres's: so compare
        # what Redis has with what Postgres has from there on.
        stored = await one.stored(project_id)
        assert numbers(stored) == list(range(1, sum(sizes) + 1))
        assert stored.endswith(await one.stream(project_id))


async def test_a_refusal_takes_nothing_from_those_who_share_its_commit(
    database_url: str, redis_url: str
) -> None:
    async def refuse(transaction: Transaction) -> None:
        transaction.emit(project_id, frames.event("x:wrong", {}))
        raise Conflict("no")

    async with opened(database_url, redis_url) as parts:
        project_id = await parts.new_project()
        results = await asyncio.gather(
            *(
                parts.log.commit(
                    project_id, refuse if index % 3 == 0 else emitting(project_id, 2, "ok")
                )
                for index in range(30)
            ),
            return_exceptions=True,
        )
        assert [isinstance(result, Problem) for result in results] == [
            index % 3 == 0 for index in range(30)
        ]
        stored = await parts.stored(project_id)
        assert numbers(stored) == list(range(1, 41))
        assert b"x:wrong" not in stored


async def test_writers_share_commits(database_url: str, redis_url: str) -> None:
    transactions: set[int] = set()

    async def note(transaction: Transaction) -> None:
        transaction.emit(project_id, frames.event("x:test", {}))
        transactions.add(await transaction.connection.fetchval("SELECT txid_current()"))

    async with opened(database_url, redis_url) as parts:
        project_id = await parts.new_project()
        await asyncio.gather(*(parts.log.commit(project_id, note) for _ in range(200)))
        assert len(transactions) <= 4


async def test_a_group_change_sees_all_waiting_items_at_once(
    database_url: str, redis_url: str
) -> None:
    groups: list[int] = []

    async def together(transaction: Transaction, items) -> list[int | Problem]:
        groups.append(len(items))
        for item in items:
            transaction.emit(project_id, frames.event("x:test", {"item": item}))
        return [Conflict("odd") if item % 2 else item for item in items]

    async with opened(database_url, redis_url) as parts:
        project_id = await parts.new_project()
        results = await asyncio.gather(
            *(parts.log.commit_many(project_id, together, item) for item in range(100)),
            return_exceptions=True,
        )
        assert sum(groups) == 100
        assert len(groups) <= 4
        assert [r if isinstance(r, int) else None for r in results] == [
            None if item % 2 else item for item in range(100)
        ]


async def test_a_late_block_never_seeds_an_emptied_redis(database_url: str, redis_url: str) -> None:
    async with opened(database_url, redis_url) as parts:
        project_id = await parts.new_project()
        for _ in range(5):
            await parts.log.commit(project_id, emitting(project_id, 1, "a"))
        await published(parts, project_id, 5)
        await parts.bus.client.flushall()
        async with acquire(parts.database.log) as connection:
            old = await history.chain(connection, project_id, 7, 1, 2)
        assert old is not None
        assert (await parts.bus.publish(project_id, old)).verdict == "unknown"
        await parts.publisher.publish(project_id, old)
        assert await parts.bus.heads([project_id]) == [Head(7, 5)]


async def test_whoever_comes_too_early_publishes_the_missing_events_first(
    database_url: str, redis_url: str
) -> None:
    async with opened(database_url, redis_url) as parts:
        project_id = await parts.new_project()
        await parts.log.commit(project_id, emitting(project_id, 1, "first"))
        await published(parts, project_id, 1)
        blocks: list[Chain] = []
        parts.publisher.add = lambda _, block: blocks.append(block)  # type: ignore[method-assign]
        for _ in range(4):
            await parts.log.commit(project_id, emitting(project_id, 3, "late"))
        # Its process "died" before it published the first three; the last one repairs.
        await parts.publisher.publish(project_id, blocks[-1])
        assert numbers(await parts.stream(project_id)) == list(range(2, 14))


async def test_a_block_of_another_history_is_dropped(database_url: str, redis_url: str) -> None:
    async with opened(database_url, redis_url) as parts:
        project_id = await parts.new_project()
        await parts.log.commit(project_id, emitting(project_id, 2, "a"))
        await published(parts, project_id, 2)
        [segment] = segments.of([frames.event("x:test", {})])
        foreign = chains.of(8, [segment._replace(first=3)])
        await parts.publisher.publish(project_id, foreign)
        assert await parts.bus.heads([project_id]) == [Head(7, 2)]


@given(st.data())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_interleaving_of_commits_crashes_and_publishes_yields_one_stream(
    database_url: str, redis_url: str, data: st.DataObject
) -> None:
    """Blocks are committed by several writers; each is published zero or more times, in any order, and
    Redis may be emptied; the last publish of all must leave the head at n and the stream without a hole."""

    async def history_of_one() -> None:
        async with opened(database_url, redis_url) as parts:
            project_id = await parts.new_project()
            blocks: list[Chain] = []
            parts.publisher.add = lambda _, block: blocks.append(block)  # type: ignore[method-assign]
            for step in data.draw(st.lists(st.sampled_from("cccppf"), min_size=1, max_size=20)):
                if step == "c" or not blocks:
                    count = data.draw(st.integers(1, 4))
                    await parts.log.commit(project_id, emitting(project_id, count, "w"))
                elif step == "p":
                    await parts.publisher.publish(project_id, data.draw(st.sampled_from(blocks)))
                else:
                    await parts.bus.forget(project_id)
            await parts.publisher.publish(project_id, blocks[-1])
            total = blocks[-1].last
            assert await parts.bus.heads([project_id]) == [Head(7, total)]
            stream = await parts.stream(project_id)
            stored = await parts.stored(project_id)
            assert numbers(stored) == list(range(1, total + 1))
            assert stored.endswith(stream)
            assert numbers(stream) == list(range(total - len(numbers(stream)) + 1, total + 1))

    asyncio.run(history_of_one())
