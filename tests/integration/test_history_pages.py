"""Pages of history: complete up to a known head whatever the filter leaves out, and silent when history
went back."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

import pytest

from runcast_server.db import acquire
from runcast_server.errors import Conflict, Unavailable
from runcast_server.eventlog import history
from runcast_server.eventlog.log import Transaction
from tests import stored_events
from tests.integration import streams
from tests.integration.streams import Served
from tests.stored_events import StoredEvent

pytestmark = pytest.mark.anyio

Logs = Sequence[UUID] | Literal["all"] | None
ROUNDS = 40


async def write(served: Served, project_id: UUID, runs: list[UUID], chance: random.Random) -> None:
    """Commits of every size, of lines and other events; some are refused after they took numbers' place."""
    for _ in range(ROUNDS):
        kind = chance.random()
        if kind < 0.5:
            await served.lines(project_id, chance.choice(runs), chance.randint(1, 30))
        elif kind < 0.8:
            await served.emit(project_id, chance.randint(1, 5))
        else:
            with contextlib.suppress(Conflict):
                await served.log.commit(project_id, refuse)


async def refuse(transaction: Transaction) -> None:
    await transaction.connection.execute("SELECT pg_sleep(0.002)")
    raise Conflict("no")


async def position(served: Served, project_id: UUID) -> history.Position:
    async with acquire(served.resources.database.log) as connection:
        return (await history.positions(connection, [project_id]))[project_id]


async def page(
    served: Served, project_id: UUID, epoch: int, after: int, upto: int, **wanted: Any
) -> history.Page:
    async with acquire(served.resources.database.log) as connection:
        return await history.page(connection, project_id, epoch, after, upto, **wanted)


async def test_a_filtered_page_up_to_a_known_head_is_complete_under_writers(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can't be counted: a page without a filter's lines is compared with what was stored in the end.
    Pages are small, so that many are full before they reach the head."""
    monkeypatch.setattr(history, "PAGE_EVENTS", 40)
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        runs = [await served.run(project_id) for _ in range(4)]
        epoch = (await position(served, project_id)).epoch
        filters: list[dict[str, Any]] = [
            {"logs": None},
            {"logs": [runs[0]]},
            {"logs": runs[1:3]},
            {"logs": None, "run": runs[3]},
        ]
        pages: list[tuple[dict[str, Any], int, history.Page]] = []

        async def read(wanted: dict[str, Any], chance: random.Random) -> None:
            after = 0
            while not all(task.done() for task in writing):
                head = (await position(served, project_id)).last_seq
                if head > after:
                    found = await page(served, project_id, epoch, after, head, **wanted)
                    pages.append((wanted, after, found))
                    after = found.upto
                await asyncio.sleep(chance.uniform(0, 0.005))

        writing = [
            asyncio.create_task(write(served, project_id, runs, random.Random(seed)))
            for seed in range(6)
        ]
        await asyncio.gather(*(read(wanted, random.Random(7)) for wanted in filters), *writing)
        assert len(pages) > 4 * 10
        async with acquire(served.resources.database.log) as connection:
            rows = await stored_events.of_project(connection, project_id)
        for wanted, after, found in pages:
            expected = [
                row.frame
                for row in rows
                if after < row.seq <= found.upto and is_wanted(row, **wanted)
            ]
            assert found.frames.decode() == "".join(expected), (wanted, after, found.upto)


def is_wanted(row: StoredEvent, *, logs: Sequence[UUID] | None, run: UUID | None = None) -> bool:
    if run is not None:
        return row.run_id == run
    return row.line_number is None or row.run_id in (logs or ())


@pytest.mark.parametrize("days", [-40, 40])
async def test_a_run_s_page_does_not_depend_on_when_the_run_says_it_was_made(
    database_url: str, redis_url: str, days: int
) -> None:
    """Another process's clock said so."""
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        run = await served.run(project_id)
        await served.lines(project_id, run, 10)
        async with acquire(served.resources.database.log) as connection:
            await connection.execute(
                "UPDATE runs SET created_at = now() + make_interval(days => $2) WHERE id = $1",
                run,
                days,
            )
        epoch = (await position(served, project_id)).epoch
        found = await page(served, project_id, epoch, 3, 10, logs=None, run=run)
        assert found.frames.count(b"\n\n") == 7


@pytest.mark.parametrize("logs", [None, "all"])
async def test_a_page_of_a_history_that_went_back_says_nothing(
    database_url: str, redis_url: str, logs: Logs
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        await served.emit(project_id, 20)
        epoch = (await position(served, project_id)).epoch
        assert (await page(served, project_id, epoch, 5, 20, logs=logs)).upto == 20
        with pytest.raises(Unavailable):
            await page(served, project_id, epoch, 5, 21, logs=logs)
        with pytest.raises(Unavailable):
            await page(served, project_id, epoch + 1, 5, 20, logs=logs)
