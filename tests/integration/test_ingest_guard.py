"""Whatever a message makes our code raise costs that message alone: Redis in, rejects and lines out.

Nothing here knows how a batch is committed. Each case stands among good messages of its own run and of
another project; those arrive, whatever the case is.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from runcast._support import line_parser
from runcast._support.ids import uuid7
from runcast_api.ingest import rejects
from runcast_api.logs import sources
from runcast_server.db import acquire
from runcast_server.eventlog.log import EventLog
from runcast_server.eventlog.segments import Event
from tests.integration import ingesting, rest, rows
from tests.integration.ingesting import Ingest, lines

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ingest(database_url: str, redis_url: str) -> AsyncIterator[Ingest]:
    async with ingesting.opened(database_url, redis_url) as parts, parts.running():
        yield parts


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def entry(run_id: object, message: str) -> dict[str, Any]:
    return {"type": "agent:log", "run_id": str(run_id), "data": {"message": message}}


TIMES = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-12:00",
]


@pytest.mark.parametrize("at", TIMES)
async def test_lines_of_a_time_that_is_none_are_kept(ingest: Ingest, at: str) -> None:
    run_id = await ingest.run(await ingest.project())
    texts = ["[12:00:00] x", "0001-01-01T00:00:00+14:00 y", "plain"]
    await ingest.send(lines(run_id, texts, at=at), lines(run_id, ["z"], first=4, offset=47, at=at))
    await ingest.drained()
    assert await ingest.rejects() == []
    assert await ingest.lines(run_id) == [*texts, "z"]
    first = (await ingest.of_run(run_id))[0]
    assert 1970 <= int(json.loads(first.data)["ts"][:4]) <= 9998


REFUSED: dict[str, Any] = {
    "deep": {"type": "x:a", "data": deep(300)},
    "deeper than can be read": b'{"type":"x:a","data":' + b"[" * 3_000 + b"]" * 3_000 + b"}",
    "marks that aren't": lines(UUID(int=0), ["a"], flags={"0": {"cut": "x"}}),
    "half a mark": lines(UUID(int=0), ["a"], flags={"0": {"cut": {"offset": 1}}}),
    "a file that isn't": lines(UUID(int=0), ["a"], file={"inode": "seven"}),
    "huge": b'{"type":"x:a","data":{"a":"' + b"x" * (17 * 1024 * 1024) + b'"}}',
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_cannot_be_understood_is_refused_alone(ingest: Ingest, case: str) -> None:
    run_id = await ingest.run(await ingest.project())
    other = await ingest.run(await ingest.project("other"))
    bad = REFUSED[case]
    if isinstance(bad, dict):
        bad = bad | {"run_id": str(run_id)}
    await ingest.send(entry(run_id, "before"), bad, entry(run_id, "after"), entry(other, "there"))
    await ingest.drained()
    assert await ingest.lines(run_id) == ["before", "after"]
    assert await ingest.lines(other) == ["there"]
    assert len(await ingest.rejects()) == 1


class Unforeseen(Exception):
    """An error that nothing lists."""


async def test_an_error_that_no_check_foresaw_refuses_its_message_alone(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = line_parser.read

    def stumbles(text: str, at: Any) -> Any:
        if "poison" in text:
            raise Unforeseen("of our own")
        return read(text, at)

    monkeypatch.setattr(line_parser, "read", stumbles)
    project_id = await ingest.project()
    run_id, poisoned = await ingest.run(project_id), await ingest.run(project_id)
    other = await ingest.run(await ingest.project("other"))
    for number in range(3):
        await ingest.send(
            *[entry(run_id, f"{number} {n}") for n in range(20)],
            lines(poisoned, ["[12:00:00] poison"]),
            lines(other, [f"[12:00:00] {number}"], first=number + 1, offset=13 * number),
        )
        await ingest.drained()
    assert await ingest.lines(run_id) == [f"{number} {n}" for number in range(3) for n in range(20)]
    assert await ingest.lines(other) == [f"[12:00:00] {number}" for number in range(3)]
    assert await ingest.lines(poisoned) == []
    assert ["Unforeseen: of our own" in reason for reason, _ in await ingest.rejects()] == [
        True
    ] * 3


async def test_however_many_messages_fail_the_others_wait_for_few_commits(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of them stand in one batch: as lines of their own runs, and as changes that Postgres doesn't
    take. They cost no commit each."""
    stumble(monkeypatch)
    commits = 0
    connected = EventLog.connected

    def counted(log: EventLog) -> Any:
        nonlocal commits
        commits += 1
        return connected(log)

    async def breaks(scope: Any, run: Any, message: Any) -> None:
        scope.emit(run, Event("x:never", b"{}", run.id))
        await scope.connection.execute("SELECT 1 / 0")

    async with ingesting.opened(database_url, redis_url) as ingest:
        handlers: Any = ingest.applier._handlers.of_run
        monkeypatch.setitem(handlers, "run:updated", breaks)
        poisoned, project = await ingest.project("poisoned"), await ingest.project()
        runs = [await ingest.run(poisoned) for _ in range(20)]
        good = await ingest.run(project)
        await ingest.send(
            *[lines(runs[n % 20], ["poison"], source=f"log {n}") for n in range(200)],
            *[{"type": "run:updated", "run_id": str(runs[n % 20])} for n in range(100)],
            *[entry(run, "here") for run in runs],
            entry(good, "there"),
        )
        monkeypatch.setattr(EventLog, "connected", counted)
        async with ingest.running():
            await ingest.drained()
        assert await ingest.lines(good) == ["there"]
        assert [await ingest.lines(run) for run in runs] == [["here"]] * 20
        reasons = [reason for reason, _ in await ingest.rejects()]
        assert sum("Unforeseen: of our own" in reason for reason in reasons) == 200
        assert sum("DivisionByZeroError" in reason for reason in reasons) == 100
        assert commits < 40, "they would be redone one by one"
        types = [type for type, _ in await ingest.events(poisoned)]
        assert types == ["agent:log"] * 20, "what a refused message emitted is taken back"


async def test_a_refused_message_takes_back_no_other_run_s_line_numbers(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stores where all runs of the batch stand, and is then taken back with that."""
    stumble(monkeypatch)

    async def breaks(scope: Any, run: Any, message: Any) -> None:
        await scope.save_runs()
        await scope.connection.execute("SELECT 1 / 0")

    async with ingesting.opened(database_url, redis_url) as ingest:
        handlers: Any = ingest.applier._handlers.of_run
        monkeypatch.setitem(handlers, "run:updated", breaks)
        project = await ingest.project()
        good, bad = await ingest.run(project), await ingest.run(project)
        first = [str(number) for number in range(10)]
        update = {"type": "run:updated", "run_id": str(bad)}
        await ingest.send(
            *[message for text in first for message in (entry(good, text), update)],
            lines(bad, ["poison"]),
        )
        async with ingest.running():
            await ingest.drained()
            await ingest.send(entry(good, "last"))
            await ingest.drained()
        assert await ingest.lines(good) == [*first, "last"]
        async with acquire(ingest.database.log) as connection:
            last = "SELECT last_line_number FROM runs WHERE id = $1"
            assert await connection.fetchval(last, good) == 11


def stumble(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has lines with the word "poison" raise what nothing lists."""
    read = line_parser.read

    def stumbles(text: str, at: Any) -> Any:
        if "poison" in text:
            raise Unforeseen("of our own")
        return read(text, at)

    monkeypatch.setattr(line_parser, "read", stumbles)
    monkeypatch.setattr(sources, "_encoded", lambda texts: (list(texts), True))


async def test_a_source_that_says_it_is_longer_than_can_be_counted_fails_no_batch(
    ingest: Ingest,
) -> None:
    project_id = await ingest.project()
    run_id, other = await ingest.run(project_id), await ingest.run(project_id)
    most = 2**62 - 1
    await ingest.send(
        *[lines(run_id, [f"{n}"], generation=n, next_offset=most) for n in (1, 2, 3, 4)],
        entry(other, "here"),
    )
    await ingest.drained()
    assert await ingest.rejects() == []
    assert await ingest.lines(run_id) == ["1", "2", "3", "4"]
    [row] = await ingest.rows("SELECT bytes FROM log_sources WHERE run_id = $1", run_id)
    assert row["bytes"] == sources.MOST_BYTES


async def test_a_line_of_a_feed_that_fails_takes_none_of_the_others_with_it(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = line_parser.read

    def stumbles(text: str, at: Any) -> Any:
        if "poison" in text:
            raise Unforeseen("of our own")
        return read(text, at)

    monkeypatch.setattr(line_parser, "read", stumbles)
    run_id = await ingest.run(await ingest.project())
    spool = [
        lines(run_id, ["[12:00:00] one"], source="stdout"),
        lines(run_id, ["[12:00:00] poison"], source="stderr"),
        lines(run_id, ["[12:00:00] two"], source="stdout", first=2, offset=15),
    ]
    texts = [json.dumps(message) for message in spool]
    await ingest.send(lines(run_id, texts, source="spool.jsonl"))
    await ingest.drained()
    assert await ingest.lines(run_id) == ["[12:00:00] one", "[12:00:00] two"]
    [(reason, message)] = await ingest.rejects()
    assert "Unforeseen" in reason
    assert "poison" in message


async def test_over_http_an_error_that_no_check_foresaw_is_a_refusal(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumbles(text: str, at: Any) -> Any:
        raise Unforeseen("of our own")

    monkeypatch.setattr(line_parser, "read", stumbles)
    async with rest.serving(database_url, redis_url, tmp_path) as served:
        await served.project()
        run = await served.run(status="running")
        log = lines(UUID(run), ["[12:00:00] poison"])
        refused = await served.admin.post(f"/runs/{run}/logs", json=log)
        assert refused.status_code == 422
        assert "Unforeseen: of our own" in refused.json()["detail"]
        good = {"type": "x:good", "run_id": run, "data": {}}
        spool = [json.dumps(each) for each in (good, log, good)]
        feed = lines(UUID(run), spool, source="spool.jsonl")
        taken = await served.admin.post(f"/runs/{run}/logs", json=feed)
        assert (taken.status_code, taken.json()["next_line"]) == (200, 4)
        assert len(await served.events(types="x:good")) == 2
        [reject] = (await served.admin.get("/admin/ingest/rejects")).json()["rejects"]
        assert (reject["stream_id"], "Unforeseen" in reject["reason"]) == ("http", True)


async def test_a_project_that_is_deleted_under_its_writers_delays_no_other(ingest: Ingest) -> None:
    """Its rows are still there, and its runs are known from before: nothing waits until it is emptied."""
    deleted, kept = await ingest.project("deleted"), await ingest.project("kept")
    writing, other = await ingest.run(deleted), await ingest.run(kept)
    await ingest.send(lines(writing, ["one"]), lines(other, ["one"]))
    await ingest.drained()
    await delete(ingest, deleted)
    for number in (2, 3):
        offset = 4 * (number - 1)
        await ingest.send(
            entry(writing, "to nobody"),
            lines(writing, ["two"], first=number, offset=offset),
            lines(other, [f"{number:03}"], first=number, offset=offset),
            entry(writing, "to nobody"),
        )
        await ingest.drained()
    assert await ingest.lines(other) == ["one", "002", "003"]
    reasons = [reason for reason, _ in await ingest.rejects()]
    assert reasons == ["the run's project was deleted"] * 6


async def delete(ingest: Ingest, project_id: UUID) -> None:
    async with ingest.database.changing(rows.ADMIN) as connection:
        assert await connection.fetchval("SELECT delete_project($1)", project_id)


async def test_marks_of_lines_are_no_members_of_events(ingest: Ingest) -> None:
    run_id, foreign = await ingest.run(await ingest.project()), uuid7()
    forged = {"run_id": str(foreign), "line_number": 77, "line": "forged", "seen": True}
    await ingest.send(lines(run_id, ["true"], flags={"0": forged | {"invalid_utf8": True}}))
    await ingest.drained()
    [event] = await ingest.of_run(run_id)
    assert json.loads(event.data) | {"ts": ""} == {
        "run_id": str(run_id), "line_number": 1, "line": "true", "ts": "",
        "source": "logs.txt", "source_line": 1, "invalid_utf8": True,
    }  # fmt: skip


async def test_a_line_beyond_the_limit_is_cut_and_says_so(ingest: Ingest) -> None:
    run_id = await ingest.run(await ingest.project())
    await ingest.send(lines(run_id, ["short", "é" * 200_000, "after"]))
    await ingest.drained()
    short, long, after = await ingest.lines(run_id)
    assert (short, after) == ("short", "after")
    assert long == "é" * (128 * 1024)
    second = (await ingest.of_run(run_id))[1]
    assert json.loads(second.data)["cut"] == {"length": 400_000}  # a worker isn't believed


async def test_rejects_are_bounded_and_pruned_and_hold_no_secret(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejects, "_KEEP", rejects._KEEP.replace(str(rejects.KEPT), "5"))
    for number in range(12):
        await ingest.send({"type": f"unknown {number}", "auth": "s3cret"})
        await ingest.drained()
    kept = [message for _, message in await ingest.rejects()]
    assert [json.loads(message)["type"] for message in kept] == [
        f"unknown {number}" for number in range(7, 12)
    ]
    assert not any("s3cret" in message for message in kept)
    await ingest.rows(
        """INSERT INTO ingest_rejects (at, stream_id, reason, message)
           VALUES (now() - interval '31 days', '1-1', 'old', '') RETURNING 1"""
    )
    await rejects.prune(ingest.database.log)
    assert [message for _, message in await ingest.rejects()] == kept
