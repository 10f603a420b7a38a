"""Projects and runs take turns, whatever floods; nothing is lost or doubled when leaders change meanwhile."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from runcast.contract import INGEST_STREAM
from runcast_api.ingest import cursors, fair_queue, patience
from runcast_api.ingest.batches import Read
from runcast_api.ingest.fair_queue import FairQueue
from runcast_api.ingest.patience import Patience
from runcast_api.ingest.stream import START, IngestStream, Position, id_before, next_id
from runcast_server.errors import Unavailable
from tests.integration import ingesting
from tests.integration.ingesting import Ingest
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ingest(database_url: str, redis_url: str) -> AsyncIterator[Ingest]:
    async with ingesting.opened(database_url, redis_url) as parts:
        yield parts


def entry(run_id: object, message: str) -> dict[str, Any]:
    return {"type": "agent:log", "run_id": str(run_id), "data": {"message": message}}


async def flood(ingest: Ingest, run_id: UUID, number: int, first: int = 0) -> None:
    for start in range(first, first + number, 500):
        end = min(start + 500, first + number)
        await ingest.send(*[entry(run_id, f"{n}") for n in range(start, end)])


async def test_a_line_of_a_quiet_run_goes_before_a_flood(ingest: Ingest) -> None:
    """Of another project, and of the same one: most of the flood is applied after them."""
    project_id, other = await ingest.project(), await ingest.project("other")
    flooding, beside = await ingest.run(project_id), await ingest.run(project_id)
    elsewhere = await ingest.run(other)
    await flood(ingest, flooding, 8_000)
    await ingest.send(entry(beside, "here"), entry(elsewhere, "there"))
    async with ingest.running():
        await ingest.drained()
    events = [data for _, data in await ingest.events(project_id)]
    assert [data["line"] for data in events].index("here") < 6_000
    [(_, there)] = await ingest.events(other)
    assert sum(data["ts"] < there["ts"] for data in events) < 6_000
    assert await ingest.lines(flooding) == [f"{n}" for n in range(8_000)]


async def test_names_that_no_project_has_take_no_turns_of_those_that_are_there(
    ingest: Ingest,
) -> None:
    """A flood that names many projects is served like one of one project; and what names a project
    in several ways is served like what names it in one."""
    project_id = await ingest.project("quiet")
    await ingest.send(keyed("quiet", "one"))
    async with ingest.running():
        await ingest.drained()
    await ingest.send(*[keyed(f"none-{n}", "no") for n in range(1_500)])
    await ingest.send(keyed("quiet", "two"), keyed(str(project_id), "three"))
    queue = FairQueue(
        IngestStream(ingest.bus.client, INGEST_STREAM),
        await committed(ingest),
        ingest.applier.project_of,
        max_events=100,
    )
    before = 0
    while (batch := await queue.next()) is not None:
        before += len(batch)
        if any(read.item.message and read.item.message.project == "quiet" for read in batch):
            break
        await queue.fill()
    assert before <= 500, "it waits until the queue has read it, and for one batch more"


def keyed(project: str, message: str) -> dict[str, Any]:
    return {
        "type": "agent:log",
        "project": project,
        "key": f"of-{project}",
        "data": {"message": message},
    }


async def test_a_batch_of_changes_is_shorter_than_one_of_lines(ingest: Ingest) -> None:
    """They take longer, and a line of another project waits for the batch that is under way."""
    run_id = await ingest.run(await ingest.project())
    changes = [{"type": "run:updated", "run_id": str(run_id), "data": {"name": "n"}}] * 250
    await ingest.send(*changes, *[entry(run_id, "m")] * 250)
    queue = FairQueue(
        IngestStream(ingest.bus.client, INGEST_STREAM), Position(1, START), lambda message: ""
    )
    await queue.next()
    await queue.fill()
    sizes = [len(batch) for _ in range(3) if (batch := await queue.next())]
    assert max(sizes[:2]) <= 100
    assert sum(sizes) >= 250


async def test_what_is_skipped_is_read_again_by_whoever_leads(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With little memory, and leaders that end at any batch: each message is applied once, each run's in
    order."""
    monkeypatch.setattr(fair_queue, "KEPT_BYTES", 2_000)
    monkeypatch.setattr(fair_queue, "MOST", 40)
    projects = [await ingest.project(f"p{n}") for n in range(3)]
    runs = [await ingest.run(project) for project in projects for _ in range(2)]
    chance = random.Random(7)
    sent: dict[UUID, list[str]] = {run: [] for run in runs}
    for _ in range(900):
        run = chance.choice([runs[0], runs[0], runs[0], *runs])
        sent[run].append(f"{len(sent[run])}")
        await ingest.send(entry(run, sent[run][-1]))
    stream, steps = IngestStream(ingest.bus.client, INGEST_STREAM), 0
    while await stream.size():
        position = await committed(ingest)
        await stream.delete_upto(cursors.all_done_to(position.last_id))
        queue = FairQueue(stream, position, ingest.applier.project_of, max_events=25)
        for _ in range(chance.randrange(1, 9)):
            if not await stream.size() or (batch := await queue.next()) is None:
                break
            await queue.fill()
            position = await ingest.applier.commit(position, batch)
            if chance.random() < 0.7:
                await stream.delete([read.id for read in batch])
            steps += 1
    assert steps > 30
    for run in runs:
        assert await ingest.lines(run) == sent[run]


async def committed(ingest: Ingest) -> Position:
    [row] = await ingest.rows(
        "SELECT stream_epoch, last_id FROM ingest_cursor WHERE stream = $1", INGEST_STREAM
    )
    return Position(*row)


async def test_while_everything_fits_it_goes_in_stream_order(ingest: Ingest) -> None:
    project_id = await ingest.project()
    runs = [await ingest.run(project_id) for _ in range(5)]
    await ingest.send(*[entry(runs[n % 5], f"{n}") for n in range(100)])
    queue = FairQueue(
        IngestStream(ingest.bus.client, INGEST_STREAM), Position(1, START), lambda message: ""
    )
    batch: list[Read] = []
    while (found := await queue.next()) is not None:
        batch += found
        assert found[-1].cursor == found[-1].id
        await queue.fill()
        if len(batch) == 100:
            break
    assert [read.item.message and read.item.message.data["message"] for read in batch] == [
        f"{n}" for n in range(100)
    ]


def test_ids_have_neighbours() -> None:
    most = 2**64 - 1
    for id, following in (("5-1", "5-2"), (f"5-{most}", "6-0"), ("0-0", "0-1")):
        assert next_id(id) == following
        assert id_before(following) == id
    assert id_before("0-0") == "0-0"


async def test_a_position_that_fails_again_and_again_is_rejected(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message at which Postgres itself stumbles looks like an outage. The others go on after a while."""
    monkeypatch.setattr(patience, "SECONDS", 0.0)
    monkeypatch.setattr("runcast_api.ingest.ingester.RETRY_SECONDS", 0.01)
    project_id = await ingest.project()
    good, poisoned = await ingest.run(project_id), await ingest.run(project_id)
    handle, tries = ingest.applier._handlers.of_run["agent:log"], 0

    async def stumbles(scope: Any, run: Any, message: Any) -> None:
        nonlocal tries
        if message.data["message"] == "poison":
            tries += 1
            raise asyncpg.QueryCanceledError("canceling statement due to statement timeout")
        await handle(scope, run, message)

    monkeypatch.setitem(ingest.applier._handlers.of_run, "agent:log", stumbles)  # type: ignore[arg-type]
    sizes: list[int] = []
    commit = ingest.applier.commit

    async def counted(position: Position, batch: Any, under_way: Any = None) -> Position:
        sizes.append(len(batch))
        return await commit(position, batch, under_way)

    monkeypatch.setattr(ingest.applier, "commit", counted)
    after = [entry(good, "after") for _ in range(500)]
    await ingest.send(entry(good, "before"), entry(poisoned, "poison"), *after)
    async with ingest.running():
        await ingest.drained()
    assert await ingest.lines(good) == ["before"] + ["after"] * 500
    assert len(sizes) < 100, "one message at a time only where it fails"
    [(reason, _)] = await ingest.rejects()
    assert "it failed 5 times: QueryCanceledError" in reason
    assert tries < 10


async def test_a_table_that_is_locked_rejects_nothing(
    ingest: Ingest, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await ingest.run(await ingest.project())
    assert await ingest.applier.is_ready()
    for table in ("runs", "project_counters"):
        admin = await asyncpg.connect(database_url)
        async with admin.transaction():
            await admin.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            assert not await ingest.applier.is_ready()
        await admin.close()
    await ingest.send(entry(run_id, "here"))
    async with ingest.running():
        await ingest.drained()
    assert await ingest.rejects() == []


def test_patience_counts_what_postgres_answered_at_one_position() -> None:
    now = 0.0
    waiting = Patience(clock=lambda: now)
    here, there = Position(1, "5-0"), Position(1, "6-0")
    for _ in range(patience.TRIES):
        assert not waiting.is_over(here)
        waiting.failed(here, Unavailable("no server"))
        waiting.failed(here, asyncpg.DeadlockDetectedError("deadlock"))
    assert waiting.max_events(here) == 1
    assert not waiting.is_over(here)
    now = patience.SECONDS
    assert waiting.is_over(here)
    assert not waiting.is_over(there)
    waiting.failed(there, asyncpg.DeadlockDetectedError("deadlock"))
    assert not waiting.is_over(here)
    assert waiting.max_events(there) > 1


async def test_a_leader_s_end_in_a_flood_loses_and_doubles_nothing(ingest: Ingest) -> None:
    project_id = await ingest.project()
    flooding, beside = await ingest.run(project_id), await ingest.run(project_id)
    await flood(ingest, flooding, 3_000)
    for number in range(4):
        await ingest.send(entry(beside, f"{number}"))
        async with ingest.running():
            await until(lambda number=number: reached(ingest, beside, number + 1))
            await asyncio.sleep(0)
    async with ingest.running():
        await ingest.drained()
    assert await ingest.lines(beside) == ["0", "1", "2", "3"]
    assert await ingest.lines(flooding) == [f"{n}" for n in range(3_000)]


async def reached(ingest: Ingest, run_id: UUID, number: int) -> bool:
    [row] = await ingest.rows("SELECT last_line_number FROM runs WHERE id = $1", run_id)
    return bool(row[0] == number)
