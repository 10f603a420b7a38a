"""Days of events that are dropped: made ahead, dropped under readers, and told to who comes too late."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from runcast_api.storage.policy import Bounds
from runcast_api.storage.retention import Keeper
from tests import aging
from tests.integration.streams import Reader, Served, hub, stream

pytestmark = pytest.mark.anyio

OLD = 30
"""Events of the day before yesterday."""


async def aged(served: Served, database_url: str, days: int = 2, number: int = OLD) -> UUID:
    """A project whose first events are some days old, and one of today."""
    project_id = await served.project()
    await served.emit(project_id, number)
    connection = await asyncpg.connect(database_url)
    try:
        at = datetime.now(UTC) - timedelta(days=days)
        await aging.make_older(connection, project_id, number, at)
    finally:
        await connection.close()
    await served.emit(project_id, 1)
    return project_id


async def drop(served: Served, days: int = 1) -> int:
    """What is done with `LOG_RETENTION_DAYS`; answers by how much the floors moved."""
    pool = served.resources.database.log
    keeper = Keeper(pool, Bounds(days, None, None, None), reject_days=30, audit_days=30)
    floors = "SELECT sum(floor_seq)::bigint FROM project_counters"
    before: int = await pool.fetchval(floors)
    await keeper.measure()
    await keeper.shorten()
    return int(await pool.fetchval(floors)) - before


def gaps(reader: Reader) -> list[tuple[int, int, str]]:
    return [(f.data["from"], f.data["to"], f.data["reason"]) for f in reader.of("gap")]


async def test_tomorrow_and_a_week_are_there_before_they_are_needed(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        missing = await connection.fetch(
            """SELECT day FROM generate_series(now(), now() + interval '7 days', '1 day') AS day
               WHERE NOT has_partition('segments', day)"""
        )
    finally:
        await connection.close()
    assert missing == []


async def test_a_position_before_the_oldest_event_is_told_and_goes_on(
    database_url: str, redis_url: str
) -> None:
    async with hub(database_url, redis_url) as served:
        project_id = await aged(served, database_url)
        assert await drop(served) == OLD
        path = f"/projects/{project_id}/events"
        async with stream(served, path, last_event_id="10") as reader:
            await reader.until(lambda r: bool(r.ids))
            assert gaps(reader) == [(11, OLD, "retention")]
            assert reader.ids == [OLD + 1]
            [told] = reader.of("gap")
            assert told.id == OLD
            assert told.data["refetch"]
        async with stream(served, path, last_event_id=str(OLD)) as reader:
            await reader.until(lambda r: bool(r.ids))
            assert gaps(reader) == []


async def test_from_the_first_kept_event(database_url: str, redis_url: str) -> None:
    async with hub(database_url, redis_url) as served:
        project_id = await aged(served, database_url)
        await drop(served)
        path = f"/projects/{project_id}/events?last_event_id=0"
        async with stream(served, path) as reader:
            await reader.until(lambda r: bool(r.ids))
            assert reader.ids == [OLD + 1]
            assert gaps(reader) in ([], [(1, OLD, "retention")])


async def test_days_are_dropped_under_readers_that_resume(
    database_url: str, redis_url: str
) -> None:
    """Each reader gets a whole piece of history: all of it, or a gap and what is kept."""
    async with hub(database_url, redis_url) as served:
        project_id = await aged(served, database_url, number=5_000)

        async def resume(position: int) -> Reader:
            path = f"/projects/{project_id}/events"
            async with stream(served, path, last_event_id=str(position)) as reader:
                return await reader.until(lambda r: bool(r.ids) and r.ids[-1] == 5_001)

        resuming = [asyncio.create_task(resume(n * 200)) for n in range(25)]
        await asyncio.sleep(0)
        assert await drop(served) == 5_000
        readers = await asyncio.gather(*resuming)
        readers.append(await resume(100))
        for number, reader in enumerate(readers):
            follows(reader, number * 200 if number < 25 else 100)
    assert gaps(readers[-1]) == [(101, 5_000, "retention")]


def follows(reader: Reader, position: int) -> None:
    """Every number above `position` came, or was in an announced gap."""
    expected = position + 1
    for frame in reader.frames:
        if frame.event == "gap":
            assert frame.data["from"] == expected
            assert frame.data["reason"] == "retention"
            expected = frame.data["to"] + 1
        elif frame.event.startswith("x:"):
            assert frame.id == expected
            expected += 1
    assert expected == 5_002


async def test_dropping_keeps_what_lies_within_the_days(database_url: str, redis_url: str) -> None:
    async with hub(database_url, redis_url) as served:
        project_id = await aged(served, database_url)
        assert await drop(served, days=3) == 0
        path = f"/projects/{project_id}/events"
        async with stream(served, path, last_event_id="0") as reader:
            await reader.until(lambda r: len(r.ids) == OLD + 1)
            assert gaps(reader) == []


@pytest.mark.parametrize("query", ["", "subscribe_logs=all"])
async def test_days_that_went_a_moment_ago_are_told_by_a_room_that_did_not_know(
    database_url: str, redis_url: str, query: str
) -> None:
    """The room learns the floor with its next comparison; a page read before that must not skip."""
    async with hub(database_url, redis_url) as served:
        project_id = await aged(served, database_url, number=1_500)
        path = f"/projects/{project_id}/events?{query}"
        async with stream(served, path):
            await served.resources.bus.forget(project_id)
            assert await drop(served) == 1_500
            for position in (0, 700, 1_499):
                async with stream(served, path, last_event_id=str(position)) as reader:
                    await reader.until(lambda r: 1_501 in r.ids)
                    assert gaps(reader) == [(position + 1, 1_500, "retention")]
                    assert reader.ids == [1_501]


async def test_a_hole_above_the_floor_is_an_error_and_no_gap(
    database_url: str, redis_url: str
) -> None:
    """Somebody deleted rows by hand: the stream says nothing that isn't so, and ends."""
    async with hub(database_url, redis_url) as served:
        project_id = await served.project()
        for _ in range(5):
            await served.emit(project_id, 4)
        connection = await asyncpg.connect(database_url)
        await connection.execute(
            "DELETE FROM segments WHERE project_id = $1 AND first_seq = 9", project_id
        )
        await connection.close()
        await served.resources.bus.forget(project_id)
        path = f"/projects/{project_id}/events?subscribe_logs=all"
        async with stream(served, path, last_event_id="5") as reader:
            await reader.ended()
            assert gaps(reader) == []
            assert [frame.data["reason"] for frame in reader.of("bye")] == ["shutdown"]
            assert not {9, 10, 11, 12, 13} & set(reader.ids)
