"""Compaction changes no read, at any point of any history, and what dies in the middle loses nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runcast_api.logs import search
from runcast_api.storage import compaction, usage
from runcast_api.storage.compaction import Compactor, Row, groups
from runcast_api.storage.retention import drop
from runcast_server.db import acquire
from runcast_server.eventlog import history
from runcast_server.runs import in_milliseconds
from tests import stored_events
from tests.integration.rest import Rest, serving
from tests.waiting import until

pytestmark = pytest.mark.anyio

NOW = timedelta(0)
BLOCKS = """
SELECT EXISTS (
    SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))
"""
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["line", "line", "lines", "event", "compact", "again"]), st.integers(0, 2)
    ),
    min_size=8,
    max_size=40,
)


@pytest.fixture
async def rest(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Rest]:
    # A step of a server ends after some seconds; on a busy machine that may be before it has begun.
    monkeypatch.setattr(compaction, "STEP_SECONDS", 600.0)
    # And a search that takes long says now and then how far it has come.
    monkeypatch.setattr(search, "PROGRESS_SECONDS", 3_600.0)
    async with serving(database_url, redis_url, tmp_path) as served:
        yield served


def compactor(rest: Rest) -> Compactor:
    """One for which everything is old enough."""
    return Compactor(rest.resources.database.log, age=NOW, idle=NOW)


async def forget_places(rest: Rest) -> None:
    """Lets everything be looked at again, merged segments too."""
    async with acquire(rest.resources.database.log) as connection:
        await connection.execute("DELETE FROM segment_compaction")


async def number_of_segments(rest: Rest, run: str) -> int:
    async with acquire(rest.resources.database.log) as connection:
        number: int = await connection.fetchval(
            "SELECT count(*) FROM segments WHERE run_id = $1 AND first_line IS NOT NULL", UUID(run)
        )
    return number


async def reads(rest: Rest, project: str, runs: list[str], positions: list[int]) -> list[object]:
    """What all readers find: pages for hubs of each filter, history, parts of logs, whole logs, searches."""
    found: list[object] = []
    project_id, ids = UUID(project), [UUID(run) for run in runs]
    async with acquire(rest.resources.database.log) as connection:
        position = (await history.positions(connection, [project_id]))[project_id]
        epoch, head = position.epoch, position.last_seq
        for after in {min(position, head) for position in positions}:
            for logs in (None, "all", ids[:1], ids[1:]):
                page = await history.page(connection, project_id, epoch, after, head, logs=logs)
                found.append((after, page))
            found.append(
                await history.page(
                    connection, project_id, epoch, after, head, logs="all", run=ids[0]
                )
            )
        # Times are kept, and shown, in milliseconds.
        stored = await stored_events.of_project(connection, project_id)
        found.append([(in_milliseconds(event.at), event.frame) for event in stored])
    paths = [f"/projects/{project}/events/history?limit=7&after={n}" for n in positions]
    paths += [f"/projects/{project}/events/history?limit=9&before={n + 1}" for n in positions]
    for run in runs:
        paths.append(f"/projects/{project}/events/history?limit=1000&run_id={run}")
        paths.append(f"/runs/{run}/logs?tail=5")
        paths += [f"/runs/{run}/logs?limit=6&after_line={n}" for n in positions]
        paths += [f"/runs/{run}/logs?limit=6&before_line={n + 1}" for n in positions]
        paths += [f"/runs/{run}/logs?level=error", f"/runs/{run}/logs/search?q=odd"]
    for path in paths:
        answer = await rest.admin.get(path)
        assert answer.is_success, (path, answer.text)
        found.append((path, answer.text))
    for run in runs:
        for accept in ("text/plain", "application/x-ndjson"):
            answer = await rest.admin.get(f"/runs/{run}/logs", headers={"Accept": accept})
            assert answer.is_success, answer.text
            found.append(answer.content)
    return found


async def test_no_read_differs_before_and_after(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With limits so small that segments are cut and merged in every way."""
    monkeypatch.setattr(compaction, "MAX_RECORDS", 12)
    monkeypatch.setattr(compaction, "MAX_SPAN", 30)
    monkeypatch.setattr(compaction, "STRIDES", (17, 5))
    merged = 0

    async def play(steps: list[tuple[str, int]], slug: str) -> int:
        project = await rest.project(slug)
        runs = [await rest.run(slug) for _ in range(3)]
        before_any = 0
        for number, (step, which) in enumerate(steps):
            path = f"/runs/{runs[which]}/logs"
            kind = {"level": ("info", "error", "odd")[number % 3], "agent_name": f"a{number % 4}"}
            match step:
                case "line":
                    await rest.admin.post(
                        path, json=kind | {"message": f"odd \x00 \x1b[1m {number}"}
                    )
                case "lines":
                    many = [
                        kind | {"message": f"line {number} {n}"} for n in range(1, 5 + 9 * which)
                    ]
                    await rest.admin.post(path, json=many)
                case "event":
                    body = {"stage": "idea", "message": f"at {number}"}
                    await rest.admin.post(f"/runs/{runs[which]}/progress", json=body)
                case _:
                    if step == "again":
                        await forget_places(rest)
                    positions = [0, 3, number, 2 * number]
                    counts = [await number_of_segments(rest, run) for run in runs]
                    expected = await reads(rest, project, runs, positions)
                    await compactor(rest).compact()
                    assert await reads(rest, project, runs, positions) == expected
                    after = [await number_of_segments(rest, run) for run in runs]
                    before_any += sum(counts) - sum(after)
        return before_any

    examples: list[list[tuple[str, int]]] = []

    @settings(max_examples=5, suppress_health_check=list(HealthCheck))
    @given(STEPS)
    def collect(steps: list[tuple[str, int]]) -> None:
        examples.append(steps)

    collect()
    chance = random.Random(4)
    examples.append([("line", chance.randrange(3)) for _ in range(40)] + [("compact", 0)])
    examples.append([(chance.choice(["line", "again", "lines"]), n % 3) for n in range(30)])
    for number, steps in enumerate(examples):
        merged += await play(steps, f"p{number}")
    assert merged > 30


async def test_runs_that_trickle_take_few_rows_and_their_size_stays_known(rest: Rest) -> None:
    project = await rest.project()
    runs = [await rest.run() for _ in range(5)]
    for number in range(200):
        await rest.admin.post(f"/runs/{runs[number % 5]}/logs", json={"message": f"line {number}"})
    await usage.measure(rest.resources.database.log, UUID(project))
    await asyncio.gather(*[compactor(rest).compact() for _ in range(3)])
    assert [await number_of_segments(rest, run) for run in runs] == [1] * 5
    found = (await rest.admin.get("/projects/demo/storage")).json()
    async with acquire(rest.resources.database.log) as connection:
        assert found["bytes"] == await connection.fetchval(
            "SELECT sum(octet_length(body)) FROM segments"
        )
        assert (found["lines"], found["is_complete"]) == (200, True)
        # Retention takes merged segments whole, and its floor leaves out nothing that is above it.
        passed = await drop(connection, UUID(project), None, None, found["bytes"] - 1, batch=5)
        assert passed
        floor = await connection.fetchval("SELECT floor_seq FROM project_counters")
        kept = [event.seq for event in await stored_events.of_project(connection, UUID(project))]
    assert [seq for seq in kept if seq > floor] == list(range(floor + 1, 206))


async def test_indexes_of_a_past_month_are_rebuilt_where_little_is_left(rest: Rest) -> None:
    project = await rest.project()
    run = await rest.run()
    await rest.admin.post(f"/runs/{run}/logs", json={"message": "x"})
    # What trickled in two months ago, written by hand: thousands of rows.
    await owner_executes(
        rest,
        f"""SELECT make_partition('segments', now() - interval '60 days');
        INSERT INTO segments (project_id, run_id, first_seq, last_seq, at, first_line, last_line, count, size,
                              codec, body)
        SELECT '{project}', '{run}', n, n, now() - interval '60 days', n, n, 1, 2, 0, '{{}}'
        FROM generate_series(100, 20000) n;
        DELETE FROM segments WHERE last_seq BETWEEN 100 AND 20000 AND last_seq % 100 <> 0""",
    )
    await owner_executes(rest, "VACUUM ANALYZE segments")
    size = """SELECT sum(pg_indexes_size(inhrelid))::bigint FROM pg_inherits
              WHERE inhparent = 'segments'::regclass"""
    async with acquire(rest.resources.database.log) as connection:
        before = await connection.fetchval(size)
        await compactor(rest).rebuild_indexes(at_least=64 * 1024)
        assert await connection.fetchval(size) < before / 3


async def test_what_changed_meanwhile_is_left_as_it_is(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment is overwritten between its reading and the merge: the merge gives way."""
    await rest.project()
    run = await rest.run()
    for number in range(4):
        await rest.admin.post(f"/runs/{run}/logs", json={"message": f"secret {number}"})
    overwrite = """UPDATE segments SET body = convert_to(
        replace(convert_from(body, 'UTF8'), 'secret', 'hidden'), 'UTF8') WHERE codec = 0"""
    read = compaction._read

    async def read_then_overwritten(*given: object) -> object:
        rows = await read(*given)  # type: ignore[arg-type]
        await owner_executes(rest, overwrite)
        return rows

    monkeypatch.setattr(compaction, "_read", read_then_overwritten)
    await compactor(rest).compact()
    assert await number_of_segments(rest, run) == 4
    text = await rest.admin.get(f"/runs/{run}/logs", headers={"Accept": "text/plain"})
    assert text.text == "".join(f"hidden {number}\n" for number in range(4))


async def test_what_is_redacted_while_it_is_merged_is_found(rest: Rest) -> None:
    project = UUID(await rest.project())
    run = await rest.run()
    for number in range(4):
        await rest.admin.post(f"/runs/{run}/logs", json={"message": f"secret {number}"})
    log = rest.resources.database.log
    async with acquire(log) as connection, connection.transaction():
        stored = await connection.fetch(compaction._SMALL.format(within=""), project, 0, 2**62)
        [group] = groups([Row(*row) for row in stored])
        rows = await compaction._read(connection, project, group)
        given = compaction._arguments(project, group, rows, compaction._merged(rows))
        assert await connection.fetchval(compaction._MERGE, *given)
        reach = {"from_line": 1, "to_line": 4}
        redacting = asyncio.create_task(rest.admin.post(f"/runs/{run}/logs/redact", json=reach))

        async def waits() -> bool:
            is_blocked: bool = await connection.fetchval(BLOCKS)
            return redacting.done() or is_blocked

        await until(waits, "the redaction to meet the merge")
    assert (await redacting).json() == {"lines": 4}
    text = await rest.admin.get(f"/runs/{run}/logs", headers={"Accept": "text/plain"})
    assert text.text == "[redacted]\n" * 4


async def owner_executes(rest: Rest, statement: str) -> None:
    connection = await asyncpg.connect(rest.resources.settings.postgres.database_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_damaged_segment_costs_its_own_group(rest: Rest) -> None:
    await rest.project()
    runs = [await rest.run() for _ in range(2)]
    for number in range(8):
        await rest.admin.post(f"/runs/{runs[number % 2]}/logs", json={"message": f"line {number}"})
    await owner_executes(
        rest, f"UPDATE segments SET codec = 77 WHERE run_id = '{runs[0]}' AND first_line = 2"
    )
    await compactor(rest).compact()
    assert [await number_of_segments(rest, run) for run in runs] == [4, 1]


async def test_damaged_segments_are_found_and_cost_themselves_alone(rest: Rest) -> None:
    await rest.project()
    run = await rest.run()
    for number in range(8):
        texts = [{"message": f"{number} {n * 7919}"} for n in range(100)]
        await rest.admin.post(f"/runs/{run}/logs", json=texts)
    assert (await check(rest))["damaged"] == []
    for line, damage in (
        (101, "codec = 77"),
        (201, "body = substr(body, 1, 300)"),
        (301, "body = overlay(body PLACING '\\x00ff00' FROM 400)"),
        (401, "size = size + 1"),
        (501, "count = 99"),
        (601, "pieces = '\\x80'"),
    ):
        await owner_executes(rest, f"UPDATE segments SET {damage} WHERE first_line = {line}")
    found = await check(rest)
    assert [segment["first_line"] for segment in found["damaged"]] == [101, 201, 301, 401, 501, 601]
    assert all(segment["run_id"] == run and segment["reason"] for segment in found["damaged"])
    logs = (await rest.admin.get(f"/runs/{run}/logs?limit=1000")).json()["logs"]
    whole = [line["line_number"] for line in logs if "damaged" not in line]
    assert whole[:100] == list(range(1, 101))
    assert whole[-100:] == list(range(701, 801))
    assert (
        await rest.admin.get("/admin/segments/check", headers=rest.person("x"))
    ).status_code == 403


async def check(rest: Rest) -> dict[str, Any]:
    """All pages of the check in one."""
    found: dict[str, Any] = {"checked": 0, "damaged": []}
    cursor: str | None = ""
    while cursor is not None:
        query = {"cursor": cursor} if cursor else {}
        page = (await rest.admin.get("/admin/segments/check", params=query)).json()
        found["damaged"] += page["damaged"]
        found["checked"] += page["checked"]
        cursor = page["next_cursor"]
    return found


def test_groups_keep_the_limits_of_a_merged_segment() -> None:
    chance = random.Random(5)
    runs = [UUID(int=n) for n in range(4)]
    lines = dict.fromkeys(runs, 0)
    rows: list[Row] = []
    seq = 0
    for number in range(3_000):
        run = chance.choice(runs)
        length = chance.choice((1, 1, 2, 200))
        at = datetime(2026, 1 + number // 1_000, 5, tzinfo=UTC)
        first = lines[run] + 1 + chance.choice((0,) * 50 + (3,))
        rows.append(
            Row(run, seq + 1, seq + length, first, first + length - 1, length, 90 * length, at)
        )
        lines[run] = first + length - 1
        seq += length + chance.choice((0, 0, 700))
    found = groups(rows)
    assert len(found) > 100
    for group in found:
        assert len({row.run_id for row in group}) == len({row.at for row in group}) == 1
        assert group[-1].last_seq - group[0].first_seq < compaction.MAX_SPAN
        assert sum(row.length for row in group) <= compaction.MAX_RECORDS
        assert all(a.last_line + 1 == b.first_line for a, b in pairwise(group))
