"""What arrives on the ingest stream is applied once, in order, or kept with its reason."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from runcast._support.ids import uuid7
from runcast.contract import INGEST_STREAM
from runcast_api.ingest import batches
from runcast_api.ingest.batches import Fenced
from runcast_api.ingest.stream import IngestStream, Position
from runcast_api.logs import entries as log_entries
from runcast_api.logs.entries import Append
from tests.integration import ingesting
from tests.integration.ingesting import Ingest, lines
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ingest(database_url: str, redis_url: str) -> AsyncIterator[Ingest]:
    async with ingesting.opened(database_url, redis_url) as parts, parts.running():
        yield parts


async def test_lines_become_numbered_log_events(ingest: Ingest) -> None:
    project_id = await ingest.project()
    run_id = await ingest.run(project_id)
    await ingest.send(
        lines(run_id, ["one", "[ERROR] two"]), lines(run_id, ["3"], first=3, offset=16)
    )
    await ingest.drained()
    assert await ingest.lines(run_id) == ["one", "[ERROR] two", "3"]
    [_, (kind, second), _] = await ingest.events(project_id)
    assert kind == "agent:log"
    assert second["level"] == "error"
    assert (second["source"], second["source_line"]) == ("logs.txt", 2)
    [row] = await ingest.rows("SELECT last_line_number FROM runs WHERE id = $1", run_id)
    assert row[0] == 3


async def test_lines_sent_again_are_stored_once(ingest: Ingest) -> None:
    run_id = await ingest.run(await ingest.project())
    message = lines(run_id, ["one", "two"])
    await ingest.send(message, message, lines(run_id, ["two", "three"], first=2, offset=4), message)
    await ingest.drained()
    assert await ingest.lines(run_id) == ["one", "two", "three"]
    assert await ingest.rejects() == []


async def test_lines_that_begin_too_far_on_are_discarded_and_not_rejected(ingest: Ingest) -> None:
    run_id = await ingest.run(await ingest.project())
    await ingest.send(lines(run_id, ["three"], first=3, offset=8))
    await ingest.drained()
    assert await ingest.lines(run_id) == []
    assert await ingest.rejects() == []
    await ingest.send(lines(run_id, ["one", "two"]), lines(run_id, ["three"], first=3, offset=8))
    await ingest.drained()
    assert await ingest.lines(run_id) == ["one", "two", "three"]


async def test_a_new_generation_begins_at_its_first_line(ingest: Ingest) -> None:
    run_id = await ingest.run(await ingest.project())
    await ingest.send(
        lines(run_id, ["one"]),
        lines(run_id, ["late"], generation=2, first=2, offset=5),
        lines(run_id, ["new"], generation=2),
        lines(run_id, ["old again"], first=2, offset=4),
    )
    await ingest.drained()
    assert await ingest.lines(run_id) == ["one", "new"]


async def test_a_log_closes_and_reopens(ingest: Ingest) -> None:
    project_id = await ingest.project()
    run_id = await ingest.run(project_id)
    closed = {"closed": {"reason": "status"}}
    await ingest.send(
        lines(run_id, ["one"]),
        lines(run_id, [], first=2, offset=4, **closed),
        lines(run_id, [], first=2, offset=4, **closed),
        lines(run_id, ["two"], first=2, offset=4),
    )
    await ingest.drained()
    events = await ingest.events(project_id)
    assert [kind for kind, _ in events] == ["agent:log", "log:closed", "log:reopened", "agent:log"]
    assert events[1][1] | {"run_id": ""} == {
        "run_id": "", "source": "logs.txt", "lines": 1, "bytes": 4, "reason": "status",
    }  # fmt: skip


async def test_single_log_entries_and_events_keep_their_order(ingest: Ingest) -> None:
    project_id = await ingest.project()
    run_id = str(await ingest.run(project_id, status="queued"))
    await ingest.send(
        {"type": "agent:started", "run_id": run_id},
        {"type": "agent:log", "run_id": run_id, "data": {"message": "hi", "level": "WARN"}},
        {"type": "run:progress", "run_id": run_id, "data": {"stage": "outline", "message": "m"}},
        {"type": "x:tool", "run_id": run_id, "data": {"name": "grep"}},
        {"type": "agent:log", "run_id": run_id, "data": {"message": "bye", "agent_name": "A"}},
        {"type": "artifact:created", "run_id": run_id, "data": {"step_name": "idea", "content": 1}},
        {"type": "agent:completed", "run_id": run_id, "data": {"result": {"ok": True}}},
    )
    await ingest.drained()
    events = await ingest.events(project_id)
    assert [kind for kind, _ in events] == [
        "run:status_changed", "agent:started", "agent:log", "run:progress", "run:step_changed", "x:tool",
        "agent:log", "artifact:created", "run:updated", "run:status_changed", "agent:completed",
    ]  # fmt: skip
    assert events[2][1]["level"] == "warning"
    assert events[-1][1]["run"]["last_line_number"] == 2
    assert await ingest.rejects() == []


async def test_what_cannot_be_accepted_is_kept_with_its_reason(ingest: Ingest) -> None:
    project_id, other = await ingest.project(), await ingest.project("other")
    run_id, foreign = str(await ingest.run(project_id)), str(await ingest.run(other))
    done = str(await ingest.run(project_id, status="completed"))
    unknown = str(uuid7())
    bad: list[tuple[object, str]] = [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ({"run_id": run_id}, "type is missing"),
        ({"type": "agent:log"}, "run_id is missing"),
        ({"type": "nonsense", "run_id": run_id}, "not known"),
        ({"type": "agent:log", "run_id": unknown, "data": {"message": "m"}}, "no run"),
        ({"type": "agent:log", "run_id": run_id, "data": {}}, "needs a message"),
        ({"type": "agent:log", "run_id": foreign, "project": "demo"}, "another project"),
        ({"type": "agent:log", "key": "k", "project": "nowhere"}, "no project"),
        ({"type": "agent:started", "run_id": done}, "never changes"),
        ({"type": "run:progress", "run_id": run_id, "data": {"percent": 3}}, "stage"),
        (lines(run_id, [1]), "lines"),
        (lines(run_id, ["x"], first=0), "first_line"),
        ({"type": "x:big", "run_id": run_id, "data": {"a": "x" * 70_000}}, "larger"),
        ({"type": "agent:log", "run_id": run_id, "id": "x" * 129}, "longer"),
    ]
    await ingest.send(*[message for message, _ in bad], lines(run_id, ["good"]))
    await ingest.drained()
    rejects = await ingest.rejects()
    assert len(rejects) == len(bad)
    for (reason, _), (_, expected) in zip(rejects, bad, strict=True):
        assert expected in reason
    assert await ingest.lines(run_id) == ["good"]
    assert [kind for kind, _ in await ingest.events(project_id)] == ["agent:log"]


async def test_a_message_id_counts_once_in_its_project(ingest: Ingest) -> None:
    one, other = await ingest.project("one"), await ingest.project("other")
    first, second = await ingest.run(one), await ingest.run(other)

    def message(run_id: object, id: str) -> dict[str, object]:
        return {"type": "agent:log", "run_id": str(run_id), "id": id, "data": {"message": id}}

    await ingest.send(message(first, "a"), message(first, "a"), message(second, "a"))
    await ingest.drained()
    await ingest.send(message(first, "a"), message(first, "b"))
    await ingest.drained()
    assert await ingest.lines(first) == ["a", "b"]
    assert await ingest.lines(second) == ["a"]


async def test_an_id_is_forgotten_after_a_day(ingest: Ingest) -> None:
    run_id = await ingest.run(await ingest.project())
    message = {"type": "agent:log", "run_id": str(run_id), "id": "a", "data": {"message": "m"}}
    await ingest.send(message)
    await ingest.drained()
    await ingest.rows(
        "UPDATE idempotency_keys SET created_at = now() - interval '25 hours' RETURNING 1"
    )
    await ingest.send(message)
    await ingest.drained()
    assert await ingest.lines(run_id) == ["m", "m"]


async def test_a_new_run_is_made_in_the_named_project(ingest: Ingest) -> None:
    project_id = await ingest.project()
    run_id = uuid7()
    await ingest.send(
        {"type": "agent:started", "run_id": str(run_id), "project": "demo", "data": {"name": "N"}},
        lines(run_id, ["by id"]),
        lines(uuid7(), ["by key"]) | {"run_id": None, "key": "k-1", "project": "demo"},
        lines(uuid7(), ["more"], first=2, offset=7) | {"run_id": "k-1", "project": str(project_id)},
    )
    await ingest.drained()
    assert await ingest.rejects() == []
    assert await ingest.lines(run_id) == ["by id"]
    [by_key] = await ingest.rows("SELECT id, status FROM runs WHERE key = 'k-1'")
    assert by_key["status"] == "running"
    assert await ingest.lines(by_key["id"]) == ["by key", "more"]
    kinds = [kind for kind, _ in await ingest.events(project_id)]
    assert Counter(kinds) == {
        "run:created": 2,
        "run:status_changed": 1,
        "agent:started": 2,
        "agent:log": 3,
    }


async def test_a_spool_is_applied_line_by_line_and_only_once(ingest: Ingest) -> None:
    project_id = await ingest.project()
    run_id = await ingest.run(project_id, status="queued")
    spool = [
        {"type": "agent:started", "run_id": str(run_id)},
        lines(run_id, ["out"], source="stdout"),
        {"type": "nonsense", "run_id": str(run_id)},
        {"type": "run:progress", "run_id": str(run_id), "data": {"stage": "s", "message": "m"}},
        lines(run_id, [], source="stdout", first=2, offset=4, closed={"reason": "status"}),
    ]
    texts = [json.dumps(message) for message in spool]
    await ingest.send(lines(run_id, texts[:3], source="spool.jsonl"))
    size = sum(len(text) + 1 for text in texts[:2])
    await ingest.send(lines(run_id, texts[2:], source="spool.jsonl", first=3, offset=size))
    await ingest.send(lines(run_id, texts, source="spool.jsonl"))
    await ingest.drained()
    assert [kind for kind, _ in await ingest.events(project_id)] == [
        "run:status_changed", "agent:started", "agent:log", "run:progress", "log:closed",
    ]  # fmt: skip
    assert [reason for reason, _ in await ingest.rejects()] == ["the type 'nonsense' is not known"]


async def test_a_file_of_progress_events_is_progress(ingest: Ingest) -> None:
    project_id = await ingest.project()
    run_id = await ingest.run(project_id)
    texts = [
        json.dumps({"ts": "2026-01-31T10:00:00+00:00", "stage": "idea", "message": str(n)})
        for n in range(3)
    ]
    await ingest.send(lines(run_id, texts, source="events.jsonl"))
    await ingest.drained()
    progress = [data for kind, data in await ingest.events(project_id) if kind == "run:progress"]
    assert [data["message"] for data in progress] == ["0", "1", "2"]
    assert await ingest.lines(run_id) == []


async def test_nul_and_lone_surrogates_are_stored(ingest: Ingest) -> None:
    run_id = await ingest.run(await ingest.project())
    raw = json.dumps(lines(run_id, ["a\0b", "\ud800 half", "whole 🚀"])).encode()
    await ingest.send(raw)
    await ingest.drained()
    assert await ingest.lines(run_id) == ["a␀b", "? half", "whole 🚀"]


async def test_with_a_secret_each_message_needs_it(database_url: str, redis_url: str) -> None:
    async with (
        ingesting.opened(database_url, redis_url, secret="s3cret") as ingest,
        ingest.running(),
    ):
        run_id = await ingest.run(await ingest.project())
        await ingest.send(
            lines(run_id, ["no"]),
            lines(run_id, ["no"], auth="wrong"),
            lines(run_id, ["yes"], auth="s3cret"),
        )
        await ingest.drained()
        assert await ingest.lines(run_id) == ["yes"]
        assert [reason for reason, _ in await ingest.rejects()] == [
            "auth is missing or not a key of this project"
        ] * 2


async def test_a_message_that_postgres_refuses_stands_alone(ingest: Ingest) -> None:
    run_id = await ingest.run(await ingest.project())
    good = [
        {"type": "agent:log", "run_id": str(run_id), "data": {"message": str(n)}} for n in range(20)
    ]
    poison = {"type": "agent:failed", "run_id": str(run_id), "data": {"error": "a\0b"}}
    await ingest.send(*good[:10], poison, *good[10:])
    await ingest.drained()
    assert await ingest.lines(run_id) == [str(n) for n in range(20)]
    assert len(await ingest.rejects()) == 1


async def test_a_stream_that_was_emptied_is_read_from_its_beginning(ingest: Ingest) -> None:
    run_id = await ingest.run(await ingest.project())
    await ingest.send(lines(run_id, ["one"]))
    await ingest.drained()
    await ingest.bus.client.flushall()
    await ingest.bus.client.xadd(
        INGEST_STREAM, {"m": json.dumps(lines(run_id, ["one", "two"]))}, id="5-1"
    )
    await until(lambda: _has_lines(ingest, run_id, ["one", "two"]))
    [row] = await ingest.rows(
        "SELECT stream_epoch FROM ingest_cursor WHERE stream = $1", INGEST_STREAM
    )
    assert row[0] > 1


async def _has_lines(ingest: Ingest, run_id: object, expected: list[str]) -> bool:
    return await ingest.lines(run_id) == expected  # type: ignore[arg-type]


async def test_entries_left_by_a_leader_that_died_are_removed_and_not_repeated(
    database_url: str, redis_url: str
) -> None:
    async with ingesting.opened(database_url, redis_url) as ingest:
        run_id = await ingest.run(await ingest.project())
        message = {"type": "agent:log", "run_id": str(run_id), "data": {"message": "once"}}
        [entry] = await ingest.send(message)
        await ingest.rows(
            "UPDATE ingest_cursor SET last_id = $1 WHERE stream = $2 RETURNING 1",
            entry.decode(),
            INGEST_STREAM,
        )
        async with ingest.running():
            await ingest.drained()
        assert await ingest.lines(run_id) == []


async def test_two_leaders_at_once_store_everything_once(database_url: str, redis_url: str) -> None:
    async with (
        ingesting.opened(database_url, redis_url) as one,
        ingesting.opened(database_url, redis_url) as other,
    ):
        run_id = await one.run(await one.project())
        position = await _position(one)
        await one.send(
            *[
                {"type": "agent:log", "run_id": str(run_id), "data": {"message": str(n)}}
                for n in range(50)
            ]
        )
        results = await asyncio.gather(
            _lead(one, position), _lead(other, position), return_exceptions=True
        )
        assert await one.lines(run_id) == [str(n) for n in range(50)]
        assert sum(isinstance(result, BaseException) for result in results) == 1


async def _position(ingest: Ingest) -> Position:
    [row] = await ingest.rows(
        "SELECT stream_epoch, last_id FROM ingest_cursor WHERE stream = $1", INGEST_STREAM
    )
    return Position(*row)


async def _lead(ingest: Ingest, position: Position) -> None:
    entries = await IngestStream(ingest.bus.client, INGEST_STREAM).read(position.last_id, count=100)
    for start in range(0, 50, 10):
        position = await ingest.applier.commit(
            position, batches.understand(entries[start : start + 10])
        )


@pytest.mark.parametrize("is_overtaken", [False, True])
async def test_lines_made_ready_ahead_are_right_even_when_somebody_else_was_first(
    database_url: str, redis_url: str, is_overtaken: bool
) -> None:
    async with ingesting.opened(database_url, redis_url) as ingest:
        project_id = await ingest.project()
        run_id = await ingest.run(project_id)
        await ingest.seed(project_id)
        await ingest.send(
            lines(run_id, ["one"]),
            lines(run_id, ["two"], first=2, offset=4),
            lines(run_id, ["three"], first=3, offset=8),
        )
        position = await _position(ingest)
        entries = await IngestStream(ingest.bus.client, INGEST_STREAM).read(
            position.last_id, count=3
        )
        first, second, third = ([read] for read in batches.understand(entries))
        assert await ingest.applier.begin(position, first) is None, "nothing is known yet"
        position = await ingest.applier.commit(position, first)
        if is_overtaken:
            entry = log_entries.encode(
                log_entries.entry_of({"message": "between"}), "2026-01-31T10:00:00.000Z", 99
            )
            await log_entries.append(ingest.log, Append(project_id, run_id, [entry]))
        under_way = await ingest.applier.begin(position, second)
        following = await ingest.applier.begin(Position(position.epoch, second[0].id), third)
        assert under_way is not None
        assert following is not None
        position = await ingest.applier.commit(position, second, under_way)
        await ingest.applier.commit(position, third, following)
        between = ["between"] if is_overtaken else []
        assert await ingest.lines(run_id) == ["one", *between, "two", "three"]
        await ingest.published(project_id)


async def _never(*_: object) -> None:
    """A `begin` that finds no batch fit for one statement."""


async def test_what_one_statement_stores_is_what_the_long_way_stores(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ingesting.opened(database_url, redis_url) as ingest:
        project_id = await ingest.project()
        runs = [await ingest.run(project_id), await ingest.run(project_id)]
        stored = []
        for run_id, is_at_once in zip(runs, (True, False), strict=True):
            position = await _position(ingest)
            await ingest.send(*_many_lines(run_id))
            entries = await IngestStream(ingest.bus.client, INGEST_STREAM).read(
                position.last_id, count=100
            )
            if not is_at_once:
                monkeypatch.setattr(ingest.applier, "begin", _never)
            for entry in entries:
                batch = batches.understand([entry])
                ready = await ingest.applier.begin(position, batch)
                assert (ready is not None) == (is_at_once and entry != entries[0])
                position = await ingest.applier.commit(position, batch, ready)
            stored.append(await _all_of(ingest, run_id))
        assert stored[0] == stored[1]


def _many_lines(run_id: UUID) -> list[dict[str, Any]]:
    """Five messages; the third is the second once more."""
    texts = [
        ["zero"],
        ["one", '\u2028 \x00 " ],"', "[10:01:02] two"],
        ["", "\t[ERROR] no", '{"level": "warn"}'],
        ["plain", "cut"],
    ]
    messages: list[dict[str, Any]] = []
    line, offset = 1, 0
    for batch in texts:
        message = lines(run_id, batch, first=line, offset=offset)
        messages.append(message | {"at": "2026-01-31T10:00:00+00:00"})
        line += len(batch)
        offset += sum(len(text.encode()) + 1 for text in batch)
    messages[3] |= {"flags": {"1": {"cut": {"offset": 3, "length": 9}}}, "file": {"inode": 7}}
    return [*messages[:2], messages[1], *messages[2:]]


async def _all_of(ingest: Ingest, run_id: UUID) -> list[Any]:
    queries = (
        "SELECT last_line_number FROM runs WHERE id = $1",
        """SELECT source, generation, next_line, next_offset, lines, bytes, bytes_after_end, file::text,
                  closed_reason, closed_at FROM log_sources WHERE run_id = $1""",
    )
    rows: list[Any] = [
        (event.line_number, event.type, event.data) for event in await ingest.of_run(run_id)
    ]
    rows += [tuple(row) for query in queries for row in await ingest.rows(query, run_id)]
    said: list[Any] = json.loads(json.dumps(rows).replace(str(run_id), "RUN"))
    return said


async def test_many_runs_go_together_in_one_statement(database_url: str, redis_url: str) -> None:
    async with ingesting.opened(database_url, redis_url) as ingest:
        project_id = await ingest.project()
        runs = [await ingest.run(project_id) for _ in range(5)]
        await ingest.seed(project_id)
        position = await _position(ingest)
        for number in (1, 2):
            await ingest.send(
                *[
                    lines(run_id, [f"{number}"], first=number, offset=2 * number - 2)
                    for run_id in runs
                ],
                *[lines(run_id, [], first=number + 1, offset=2 * number) for run_id in runs],
            )
            entries = await IngestStream(ingest.bus.client, INGEST_STREAM).read(
                position.last_id, count=100
            )
            batch = batches.understand(entries)
            ready = await ingest.applier.begin(position, batch)
            assert (ready is not None) == (number == 2)
            position = await ingest.applier.commit(position, batch, ready)
        for run_id in runs:
            assert await ingest.lines(run_id) == ["1", "2"]
        await ingest.published(project_id)


async def test_a_fenced_leader_s_batch_of_lines_changes_nothing(
    database_url: str, redis_url: str
) -> None:
    async with ingesting.opened(database_url, redis_url) as ingest:
        run_id = await ingest.run(await ingest.project())
        await ingest.send(lines(run_id, ["one"]), lines(run_id, ["two"], first=2, offset=4))
        position = await _position(ingest)
        entries = await IngestStream(ingest.bus.client, INGEST_STREAM).read(
            position.last_id, count=2
        )
        first, second = ([read] for read in batches.understand(entries))
        await ingest.applier.commit(position, first)
        ready = await ingest.applier.begin(position, second)
        assert ready is not None
        with pytest.raises(Fenced):
            await ingest.applier.commit(position, second, ready)
        assert await ingest.lines(run_id) == ["one"]
