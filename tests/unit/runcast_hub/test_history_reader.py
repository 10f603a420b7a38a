"""Pages of history: aligned, shared by who needs them, and no longer than what the room lacks."""

import asyncio
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from tests import chained

from runcast_hub.filters import Filter
from runcast_hub.history_reader import SHORT_PAGE_EVENTS, Held, Source
from runcast_hub.ring import Budget
from runcast_server.db import Database
from runcast_server.eventlog import frames
from runcast_server.eventlog.bus import Bus
from runcast_server.eventlog.history import PAGE_EVENTS, Page

pytestmark = pytest.mark.anyio

PROJECT = UUID(int=1)
ALL = Filter(all_logs=True)
LAST = 5000


class Postgres:
    """Has the events 1…`LAST`, and notes which pages were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    async def acquire(self, **_: float) -> "Postgres":
        return self

    async def release(self, connection: "Postgres") -> None:
        return None

    async def fetch(self, query: str, project_id: UUID, after: int, end: int, *more: Any) -> Any:
        if "FROM segment_months" in query:
            return [{"month": date(2026, 11, 1), "first_seq": 1}]
        self.asked.append((after, end))
        events = [frames.event("x:a", {}) for _ in range(after, end)]
        read = {"epoch": 1, "head": LAST, "floor": 0, "upto": end, "at": None, "pieces": None}
        return [
            read | one._asdict() | {"first_seq": one.first, "first_line": None, "count": one.length}
            for one in chained.chain(1, after + 1, events).segments
        ]


@pytest.fixture
def postgres() -> Postgres:
    return Postgres()


@pytest.fixture
async def source(postgres: Postgres) -> Source:
    database = Database(postgres, postgres, postgres)
    return Source(Bus("redis://localhost"), database, Budget(1 << 24))


async def page(source: Source, cursor: int, held: Held) -> Page:
    found = await source.page(PROJECT, 1, cursor, held, 0, ALL)
    assert found.frames.startswith(b"id: %d\n" % (cursor + 1))
    assert found.frames.count(b"\n\n") == found.upto - cursor
    return found


async def test_cursors_that_lie_close_together_share_one_read(
    source: Source, postgres: Postgres
) -> None:
    held = Held(None, LAST)
    cursors = [1000, 1001, 1500, 1999, 1001]
    pages = await asyncio.gather(*[page(source, cursor, held) for cursor in cursors])
    assert {found.upto for found in pages} == {2000}
    await page(source, 1700, held)
    assert postgres.asked == [(1000, 2000)]


async def test_what_the_room_holds_is_hardly_read(source: Source, postgres: Postgres) -> None:
    found = await page(source, 1001, Held(1004, LAST))
    assert found.upto == 1000 + SHORT_PAGE_EVENTS
    await page(source, 1003, Held(1100, LAST))
    assert postgres.asked == [(1000, 1000 + SHORT_PAGE_EVENTS)]


async def test_a_whole_page_that_is_kept_serves_where_less_is_needed(
    source: Source, postgres: Postgres
) -> None:
    await page(source, 1000, Held(None, LAST))
    assert (await page(source, 1001, Held(1004, LAST))).upto == 1000 + PAGE_EVENTS
    assert len(postgres.asked) == 1


async def test_the_newest_page_ends_at_what_was_delivered(
    source: Source, postgres: Postgres
) -> None:
    assert (await page(source, 4990, Held(None, LAST - 7))).upto == LAST - 7
    assert (await page(source, 4990, Held(LAST, LAST))).upto == LAST
