"""A hub with very many distinct callers and runs: its loops ask about them in slices."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from runcast._support.ids import uuid7
from runcast_hub import completion, filters
from runcast_hub.completion import RunStreams
from runcast_hub.filters import Filter
from runcast_hub.revocation import Grounds
from runcast_hub.slices import SLICE, sliced
from runcast_hub.subscriber import Subscriber
from runcast_server.auth import claims
from runcast_server.auth.principal import Principal
from runcast_server.db import Database, open_database
from tests.integration import rows

pytestmark = pytest.mark.anyio

CALLERS = 3 * SLICE + 1


class Stream:
    """What the hub's loops look at of an open stream."""

    def __init__(self, principal: Principal, project_id: UUID, wanted: Filter) -> None:
        self.principal = principal
        self.room = SimpleNamespace(project_id=project_id)
        self.filter = wanted
        self.ended: list[str | int] = []

    def end(self, reason: str) -> None:
        self.ended.append(reason)

    def finish(self, seq: int) -> None:
        self.ended.append(seq)


class Turns:
    """Counts the turns of the event loop, and how many it had made before each question."""

    def __init__(self) -> None:
        self.count = 0
        self.asked: list[tuple[int, int]] = []

    async def run(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)

    def note(self, number: int) -> None:
        self.asked.append((self.count, number))

    def check(self, total: int) -> None:
        """Each question was about a slice at most, and the loop went round between any two."""
        assert sum(number for _, number in self.asked) == total
        assert all(number <= SLICE for _, number in self.asked)
        counts = [count for count, _ in self.asked]
        assert len(set(counts)) == len(counts) == -(-total // SLICE)


@contextlib.asynccontextmanager
async def counted() -> AsyncIterator[Turns]:
    turns = Turns()
    task = asyncio.create_task(turns.run())
    try:
        yield turns
    finally:
        task.cancel()


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = await open_database(url, requests=2, log=2, accounts=2)
    try:
        yield database
    finally:
        await database.close()


def test_slices_are_of_what_was_there_at_the_beginning() -> None:
    items = dict.fromkeys(range(5))
    found = []
    for some in sliced(items, 2):
        items.pop(some[0])
        found += some
    assert found == [0, 1, 2, 3, 4]


async def test_thousands_of_callers_are_asked_about_in_slices(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(database_url) as database, counted() as turns:
        project_id = await rows.project(database)
        lost = [
            Stream(Principal("somebody", user_id=uuid7()), project_id, Filter())
            for _ in range(CALLERS)
        ]
        grounds = Grounds(database)
        for stream in [*lost, lost[0]]:
            grounds.add(cast(Subscriber, stream))
        ask = claims.lost

        async def noted(database: Database, held: list[Any]) -> list[Any]:
            turns.note(len(held))
            return await ask(database, held)

        monkeypatch.setattr(claims, "lost", noted)
        await grounds.look()
        turns.check(CALLERS)
        assert all(stream.ended == ["revoked"] for stream in lost)
        for stream in lost:
            grounds.remove(cast(Subscriber, stream))
        await grounds.look()
        turns.check(CALLERS)


async def test_runs_are_asked_about_where_something_happened_and_in_slices(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(database_url) as database, counted() as turns:
        project_id = await rows.project(database)
        streams = [Stream(rows.ADMIN, project_id, filters.of_run(uuid7())) for _ in range(CALLERS)]
        watched = RunStreams(database.log)
        for stream in [*streams, Stream(rows.ADMIN, project_id, Filter(all_logs=True))]:
            watched.add(cast(Subscriber, stream))
        ask = completion.complete

        async def noted(pool: Any, run_ids: list[UUID]) -> dict[UUID, int]:
            turns.note(len(run_ids))
            return await ask(pool, run_ids)

        monkeypatch.setattr(completion, "complete", noted)
        await watched.look([])
        turns.check(CALLERS)

        turns.asked.clear()
        monkeypatch.setattr(watched, "_opened", {})
        touched = {streams[0].filter.only_run, uuid7().bytes}
        room = SimpleNamespace(touched_runs=touched)
        await watched.look(cast(Any, [room]))
        assert [number for _, number in turns.asked] == [1]
        assert not room.touched_runs

        for stream in streams:
            watched.remove(cast(Subscriber, stream))
        turns.asked.clear()
        for _ in range(completion.ALL_TURNS):
            await watched.look([])
        assert turns.asked == []
