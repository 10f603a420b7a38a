"""Ten years of history, a partition a month: a page costs what it costs with one, and locks few of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from runcast_api.runs import history as run_history
from runcast_api.runs.history import Wanted
from runcast_hub import backfill
from runcast_server import db_sessions
from runcast_server.db import acquire
from runcast_server.eventlog import conversion, history, lines
from runcast_server.eventlog.lines import Window
from tests.integration.rest import Rest, serving

pytestmark = pytest.mark.anyio

MONTHS = 120
LINES = 20
MOST_LOCKS = 100
MOST_BUFFERS = 1.2
SEEKING = 50
_LOCKS = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"


@dataclass
class Asked:
    """The statements that the servers' pools sent."""

    statements: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)

    def note(self, query: Any) -> None:
        if "segment" in query.query:
            self.statements.append((query.query, tuple(query.args)))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked, become = Asked(), db_sessions.become

    async def heard(connection: Any, role: str) -> None:
        await become(connection, role)
        connection.add_query_logger(asked.note)

    monkeypatch.setattr(db_sessions, "become", heard)
    return asked


@pytest.fixture
async def rest(
    asked: Asked, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as served:
        yield served


@dataclass(frozen=True)
class Kept:
    """A project with a run that wrote `LINES` lines each month, and another event beside them."""

    project: UUID
    run: UUID
    months: int

    @property
    def last(self) -> int:
        return self.months * (LINES + 1)


async def kept(rest: Rest, owner: Any, months: int) -> Kept:
    project = UUID(await rest.project(f"p{months}"))
    run = UUID(await rest.run(f"p{months}"))
    await owner.execute("DELETE FROM segments WHERE project_id = $1", project)
    await owner.execute("DELETE FROM segment_months WHERE project_id = $1", project)
    await owner.execute("UPDATE runs SET first_month = NULL, last_month = NULL WHERE id = $1", run)
    now = datetime.now(UTC).replace(day=15)
    for month in range(months):
        at = now - timedelta(days=30.4375 * (months - 1 - month))
        await conversion.store(owner, list(events(project, run, month, at)))
    one = Kept(project, run, months)
    await owner.execute(
        "UPDATE project_counters SET last_seq = $2, last_at = now() WHERE project_id = $1",
        project,
        one.last,
    )
    await owner.execute("UPDATE runs SET last_line_number = $2 WHERE id = $1", run, months * LINES)
    return one


def events(project: UUID, run: UUID, month: int, at: datetime) -> Any:
    first = month * (LINES + 1) + 1
    common = {"project_id": project, "run_id": run, "at": at}
    for place in range(LINES):
        number = month * LINES + place + 1
        data = {"run_id": str(run), "line_number": number, "line": f"line {number}", "ts": "t"}
        data |= {"source": "s"}
        yield common | {
            "seq": first + place,
            "type": "agent:log",
            "line_number": number,
            "data": orjson.dumps(data).decode(),
        }
    data = {"run_id": str(run)}
    yield common | {
        "seq": first + LINES,
        "type": "run:progress",
        "line_number": None,
        "data": orjson.dumps(data).decode(),
    }


Read = Callable[[], Awaitable[object]]


def reads(rest: Rest, one: Kept) -> dict[str, Read]:
    """Every kind of page: where history begins, in its middle, and where it ends."""
    log, middle = rest.resources.database.log, one.last // 2

    def get(path: str) -> Read:
        async def answered() -> None:
            answer = await rest.admin.get(path)
            assert answer.status_code == 200, answer.text

        return answered

    def page(after: int, **wanted: Any) -> Read:
        async def read() -> None:
            async with acquire(log) as connection:
                epoch = (await history.positions(connection, [one.project]))[one.project].epoch
                await history.page(connection, one.project, epoch, after, one.last, **wanted)

        return read

    async def backfilled() -> None:
        tail = backfill.last_lines(log, one.project, [one.run], 5, one.last)
        assert b"line" in b"".join([chunk async for chunk in tail])

    path, logs = f"/projects/{one.project}/events/history?limit=10", f"/runs/{one.run}/logs"
    line = one.months * LINES // 2
    return {
        "hub, first page": page(0, logs="all"),
        "hub, middle": page(middle, logs="all"),
        "hub, last page": page(one.last - 5, logs="all"),
        "hub without lines": page(middle, logs=None),
        "hub, lines of some": page(middle, logs=[one.run]),
        "hub, one run": page(middle, logs=None, run=one.run),
        "backfill": backfilled,
        "history": get(path),
        "history, middle": get(f"{path}&after={middle}"),
        "history, back": get(f"{path}&before={one.last}"),
        "history of a run": get(f"{path}&run_id={one.run}&before={middle + 1}"),
        "log": get(f"{logs}?limit=10"),
        "log, tail": get(f"{logs}?tail=10"),
        "log, middle": get(f"{logs}?limit=10&after_line={line}"),
        "a line": get(f"{logs}?limit=1&after_line={line}"),
        "search": get(f"{logs}?limit=10&q=line"),
    }


async def cost(owner: Any, asked: Asked, read: Read) -> tuple[int, int]:
    """The locks that a statement of a read holds at most, and the pages that all of them look at: planned and
    run as often as it takes until a plan is kept. Planning looks at as much as it locks."""
    for _ in range(2):
        asked.statements.clear()
        await read()
    locks, buffers = 0, 0
    for statement, arguments in list(asked.statements):
        async with owner.transaction():
            for _ in range(7):
                await owner.fetch(statement, *arguments)
            plan = await owner.fetchval(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *arguments
            )
            locks = max(locks, await owner.fetchval(_LOCKS))
        whole = json.loads(plan)[0] if isinstance(plan, str) else plan[0]
        buffers += whole["Plan"]["Shared Hit Blocks"] + whole["Plan"]["Shared Read Blocks"]
    return locks, buffers


async def locks_of_a_long_search(rest: Rest, one: Kept) -> int:
    """How many a transaction holds that has looked through all months and found nothing."""
    wanted = Wanted(one.project, types=["agent:question"])
    async with acquire(rest.resources.database.log) as connection, connection.transaction():
        page = await run_history.page(connection, wanted, 10)
        assert (page["events"], page["next_after"]) == ([], None)
        log = await lines.find(connection, one.run)
        assert log is not None
        assert await lines.rows(connection, log, Window(), lines=10, level=32) == ([], None)
        held: int = await connection.fetchval(_LOCKS)
    return held


async def test_a_page_costs_the_same_with_ten_years_of_them(
    rest: Rest, asked: Asked, database_url: str
) -> None:
    owner = await asyncpg.connect(database_url)
    try:
        fresh = await kept(rest, owner, 9)
        await owner.execute("ANALYZE segments")
        before = {name: await cost(owner, asked, read) for name, read in reads(rest, fresh).items()}
        old = await kept(rest, owner, MONTHS)
        await owner.execute("ANALYZE segments")
        assert await owner.fetchval(
            "SELECT count(*) >= $1 FROM pg_inherits WHERE inhparent = 'segments'::regclass", MONTHS
        )
        again = {name: await cost(owner, asked, read) for name, read in reads(rest, fresh).items()}
        aged = {name: await cost(owner, asked, read) for name, read in reads(rest, old).items()}
        assert await locks_of_a_long_search(rest, old) <= MOST_LOCKS
    finally:
        await owner.close()
    for name, (_, buffers) in before.items():
        assert again[name][1] <= MOST_BUFFERS * buffers, name
        # A line of a run that wrote in more than three months is sought in some of them first.
        seeking = SEEKING if name in ("backfill", "log, middle", "a line") else 0
        assert aged[name][1] <= MOST_BUFFERS * buffers + seeking, name
        assert max(again[name][0], aged[name][0]) <= MOST_LOCKS, name
