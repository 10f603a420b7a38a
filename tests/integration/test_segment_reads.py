"""Every way of reading, over any history: merged segments, single ones, any page, forwards and backwards."""

import random
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from runcast_api.logs import query
from runcast_api.logs.query import Filter, Window
from runcast_api.runs import history as run_history
from runcast_api.runs.history import Wanted
from runcast_server.db import acquire, open_database
from runcast_server.eventlog import conversion, history
from tests.integration import rows

pytestmark = pytest.mark.anyio

Given = dict[str, Any]
RUNS = [UUID(int=1), UUID(int=2), UUID(int=3)]
LEVELS = (None, "info", "error", "odd")
ROUNDS = 120


def made(chance: random.Random, project_id: UUID) -> list[Given]:
    """Commits of some events each: lines of a run, other events of it, or of none."""
    events: list[Given] = []
    lines = dict.fromkeys(RUNS, 0)
    at = datetime.now(UTC) - timedelta(hours=1)
    while len(events) < 700:
        at += timedelta(microseconds=chance.randint(0, 900_000))
        run_id, kind = chance.choice(RUNS), chance.random()
        for _ in range(chance.choice((1, 1, 1, 2, 40))):
            event = {"project_id": project_id, "seq": len(events) + 1, "at": at}
            if kind < 0.7:
                lines[run_id] += 1
                event |= line(chance, run_id, lines[run_id])
            else:
                mine = run_id if kind < 0.9 else None
                text = orjson.dumps({"n": len(events), "fill": "x" * chance.choice((1, 200))})
                kinds = ("x:a", "run:progress")
                event |= {"type": chance.choice(kinds), "run_id": mine, "line_number": None}
                event |= {"data": text.decode()}
            events.append(event)
    return events


def line(chance: random.Random, run_id: UUID, number: int) -> Given:
    level = chance.choice(LEVELS)
    text = chance.choice(("plain", "\x1b[31mRed\x1b[0m Alert", 'a "quoted" \\ one', "é" * 30))
    members = {"run_id": str(run_id), "line_number": number, "line": text, "ts": "t"}
    members |= {"level": level} if level else {}
    members |= {"agent_name": chance.choice(("A", "B"))} if chance.random() < 0.3 else {}
    data = orjson.dumps(members | {"source": "s"}).decode()
    return {"type": "agent:log", "run_id": run_id, "line_number": number, "data": data}


def frame(event: Given) -> str:
    return f"id: {event['seq']}\nevent: {event['type']}\ndata: {event['data']}\n\n"


@pytest.fixture
async def stored(database_url: str) -> Any:
    """A history whose parts are merged here and there, as `store` does for what trickled in."""
    chance = random.Random(5)
    database = await open_database(database_url, requests=2, log=2)
    project_id = await rows.project(database)
    events = made(chance, project_id)
    owner = await asyncpg.connect(database_url)
    for run_id in RUNS:
        await owner.execute(
            """INSERT INTO runs (id, project_id, phase, steps, status, last_line_number)
               VALUES ($1, $2, 'p', '{}', 'running', $3)""",
            run_id,
            project_id,
            sum(event["run_id"] == run_id and event["line_number"] is not None for event in events),
        )
    start = 0
    while start < len(events):
        end = start + chance.choice((1, 5, 60))
        await conversion.store(owner, events[start:end])
        start = end
    await owner.execute(
        "UPDATE project_counters SET last_seq = $2, last_at = now() WHERE project_id = $1",
        project_id,
        len(events),
    )
    await owner.close()
    yield database, project_id, events
    await database.close()


async def test_a_page_of_any_kind_is_what_was_stored(stored: Any) -> None:
    database, project_id, events = stored
    chance = random.Random(6)
    last = len(events)
    kinds: Sequence[tuple[dict[str, Any], Any]] = [
        ({"logs": "all"}, lambda event: True),
        ({"logs": None}, lambda event: event["line_number"] is None),
        (
            {"logs": [RUNS[1]]},
            lambda event: event["line_number"] is None or event["run_id"] == RUNS[1],
        ),
        ({"logs": None, "run": RUNS[2]}, lambda event: event["run_id"] == RUNS[2]),
    ]
    async with acquire(database.log) as connection:
        epoch = (await history.positions(connection, [project_id]))[project_id].epoch
        assert (
            await connection.fetchval("SELECT count(*) FROM segments WHERE pieces IS NOT NULL") > 9
        )
        for _ in range(ROUNDS):
            after = chance.randint(0, last - 1)
            upto = chance.randint(after + 1, last)
            for wanted, takes in kinds:
                page = await history.page(connection, project_id, epoch, after, upto, **wanted)
                expected = [frame(event) for event in events[after : page.upto] if takes(event)]
                assert page.upto == upto
                assert page.frames.decode() == "".join(expected), (after, upto, wanted)


async def test_history_is_read_in_both_directions(stored: Any) -> None:
    database, project_id, events = stored
    chance = random.Random(7)
    types_of = (None, ["agent:log"], ["run:progress"], ["x:a", "agent:log"])
    async with acquire(database.log) as connection:
        for _ in range(ROUNDS):
            bounds = (chance.randint(0, 700), chance.randint(1, 750))
            after = chance.choice((None, min(bounds)))
            before = chance.choice((None, max(bounds)))
            types, run_id = chance.choice(types_of), chance.choice((None, *RUNS))
            limit = chance.choice((1, 7, 300))
            wanted = Wanted(project_id, after, before, types, run_id)
            page = await run_history.page(connection, wanted, limit)
            expected = [
                event
                for event in events
                if (after or 0) < event["seq"] < (before or 10**6)
                and (types is None or event["type"] in types)
                and run_id in (None, event["run_id"])
            ]
            is_back = before is not None and after is None
            expected = expected[-limit:] if is_back else expected[:limit]
            assert [shown["id"] for shown in page["events"]] == [e["seq"] for e in expected], wanted
            datas = [orjson.dumps(shown["data"]).decode() for shown in page["events"]]
            assert datas == [e["data"] for e in expected]
            milliseconds = [int(e["at"].timestamp() * 1000) for e in expected]
            times = [datetime.fromisoformat(shown["at"]) for shown in page["events"]]
            assert [round(time.timestamp() * 1000) for time in times] == milliseconds


async def test_history_says_where_to_go_on_when_its_time_is_over(
    stored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_history, "SCAN_SECONDS", -1.0)
    monkeypatch.setattr(history, "PAGE_BYTES", 1)
    database, project_id, events = stored
    wanted = Wanted(project_id, None, events[-1]["seq"] + 1, ["run:progress"])
    found: list[int] = []
    pages = 0
    async with acquire(database.log) as connection:
        while wanted.before is not None:
            page = await run_history.page(connection, wanted, 1_000)
            assert page["next_after"] is None
            found = [shown["id"] for shown in page["events"]] + found
            wanted = replace(wanted, before=page["next_before"])
            pages += 1
    assert found == [event["seq"] for event in events if event["type"] == "run:progress"]
    assert pages > 2


async def test_windows_of_a_log_with_and_without_a_filter(stored: Any) -> None:
    database, _, events = stored
    chance = random.Random(8)
    filters = (
        Filter(),
        Filter(q="red alert"),
        Filter(q='"QUOTED" \\'),
        Filter(level="error"),
        Filter(level="odd", agent_name="B"),
        Filter(q="nowhere"),
        Filter(q=r"r.d +al[a-e]rt", is_regex=True, level="error"),
    )
    async with acquire(database.log) as connection:
        for run_id in RUNS:
            log = await query.find(connection, run_id)
            lines = [e for e in events if e["run_id"] == run_id and e["line_number"]]
            assert log.last_line == len(lines)
            for _ in range(ROUNDS // 3):
                bounds = (chance.randint(0, log.last_line), chance.randint(1, log.last_line + 2))
                window = Window(min(bounds), max(bounds), chance.random() < 0.5)
                wanted, limit = chance.choice(filters), chance.choice((1, 5, 100))
                inside = lines[window.after : max(0, window.before - 1)]
                expected = [e for e in inside if takes(e, wanted)]
                expected = expected[-limit:] if window.from_end else expected[:limit]
                found = await query.read(connection, log, window, wanted, limit, nullcontext)
                assert [(e.seq, orjson.dumps(e.members).decode()) for e in found.lines] == [
                    (e["seq"], e["data"]) for e in expected
                ], (window, wanted, limit)
                if len(expected) < limit:
                    assert found.next is None


def takes(event: Given, wanted: Filter) -> bool:
    members = orjson.loads(event["data"])
    shown = members["line"].replace("\x1b[31m", "").replace("\x1b[0m", "")
    has_text = wanted.q and (
        re.search(wanted.q, shown) if wanted.is_regex else wanted.q.lower() in shown.lower()
    )
    return (
        bool(not wanted.q or has_text)
        and (not wanted.level or members.get("level") == wanted.level)
        and (not wanted.agent_name or members.get("agent_name") == wanted.agent_name)
    )


async def test_of_a_damaged_segment_every_reader_says_so_and_goes_on(
    stored: Any, database_url: str
) -> None:
    database, project_id, events = stored
    owner = await asyncpg.connect(database_url)
    row = await owner.fetchrow(
        """UPDATE segments SET body = substr(body, 1, length(body) - 5)
           WHERE (project_id, last_seq, at) IN (
               SELECT project_id, last_seq, at FROM segments
               WHERE run_id = $1 AND codec = 1 AND first_line IS NOT NULL ORDER BY last_line LIMIT 1 OFFSET 1)
           RETURNING first_line, last_line""",
        RUNS[0],
    )
    await owner.close()
    first, last = row
    async with acquire(database.log) as connection:
        log = await query.find(connection, RUNS[0])
        everything = await query.read(connection, log, Window(), Filter(), 10_000, nullcontext)
        bad = [e for e in everything.lines if "damaged" in e.members]
        assert [e.members["damaged"] for e in bad] == [{"from_line": first, "to_line": last}]
        assert len(everything.lines) == log.last_line - (last - first)
        epoch = (await history.positions(connection, [project_id]))[project_id].epoch
        page = await history.page(
            connection, project_id, epoch, 0, len(events), logs=None, run=RUNS[0]
        )
        whole = [frame(e) for e in events if e["run_id"] == RUNS[0]]
        told = page.frames.decode()
        missing = [each for each in whole if each not in told]
        assert len(missing) == last - first + 1
        assert '"reason":"damaged"' in told
        assert told.count("\n\n") == len(whole)
        found = await run_history.page(
            connection, Wanted(project_id, after=0, run_id=RUNS[0]), 10_000
        )
        assert sum(e["type"] == "gap" for e in found["events"]) == last - first + 1
