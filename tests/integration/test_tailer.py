"""From files to Postgres, through Redis and back to the cursor: the tailer with a real ingester."""

import asyncio
import contextlib
import json
import os
import random
import time
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from runcast._support.ids import uuid7
from runcast.contract import SENTINEL, TAILER_STREAM
from runcast_server import tasks
from runcast_server.db import acquire
from runcast_tailer.file_reader import Follower
from runcast_tailer.options import TailerOptions
from runcast_tailer.queries import Server
from runcast_tailer.scheduled_tail import COLD_INTERVAL
from runcast_tailer.shipper import Shipper
from runcast_tailer.supervisor import Supervisor
from tests.integration import ingesting
from tests.integration.ingesting import Ingest
from tests.waiting import until

pytestmark = pytest.mark.anyio


@dataclass
class Tailing:
    """A tailer on a runs directory, an ingester, and what they have stored."""

    ingest: Ingest
    runs_dir: Path
    project_id: UUID
    options: TailerOptions

    @contextlib.asynccontextmanager
    async def tailer(self) -> AsyncIterator[Supervisor]:
        shipper = Shipper(self.ingest.bus.client)
        supervisor = Supervisor(self.options, Server(self.ingest.database.log), shipper)
        task = asyncio.create_task(supervisor.run())
        try:
            yield supervisor
        finally:
            await tasks.end(task)

    def write(self, name: str, data: str, *, run: str = "my-run") -> Path:
        path = self.runs_dir / run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(data)
        return path

    async def run_id(self, key: str = "my-run") -> UUID | None:
        rows = await self.ingest.rows("SELECT id FROM runs WHERE key = $1 OR id::text = $1", key)
        return rows[0][0] if rows else None

    async def lines(self, key: str = "my-run") -> list[str]:
        run_id = await self.run_id(key)
        return await self.ingest.lines(run_id) if run_id else []

    async def numbers(self, key: str) -> list[int]:
        """The numbers of the run's events."""
        run_id = await self.run_id(key)
        assert run_id is not None
        return [event.seq for event in await self.ingest.of_run(run_id) if event.line_number]

    async def has_lines(self, expected: list[str], key: str = "my-run") -> None:
        try:
            await until(lambda: self._has(expected, key))
        except TimeoutError:
            assert await self.lines(key) == expected

    async def _has(self, expected: list[str], key: str) -> bool:
        run_id = await self.run_id(key)
        rows = await self.ingest.rows("SELECT last_line_number FROM runs WHERE id = $1", run_id)
        return bool(rows) and rows[0][0] == len(expected) and await self.lines(key) == expected

    async def looked(self) -> None:
        """Waits until the tailer has looked everywhere: a run that comes now is found and stored."""
        key = f"marker-{uuid7()}"
        self.write("logs.txt", "here\n", run=key)
        await self.has_lines(["here"], key)

    async def ask_for(self, run_id: UUID, source: str, path: Path) -> None:
        """What `POST /runs/{run}/tail` leaves."""
        await self.ingest.rows(
            """INSERT INTO log_sources (run_id, source, project_id, path, is_active)
               VALUES ($1, $2, $3, $4, true) RETURNING 1""",
            run_id,
            source,
            self.project_id,
            str(path),
        )

    async def looked_at_what_is_asked_for(self) -> None:
        """Waits until the tailer knows what is asked for now."""
        run_id = await self.ingest.run(self.project_id)
        path = self.write("asked.log", "here\n", run=f"marker-{run_id}")
        await self.ask_for(run_id, "asked.log", path)
        await self.has_lines(["here"], str(run_id))

    async def until_event(self, kind: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = []

        async def has_come() -> bool:
            found[:] = [d for k, d in await self.ingest.events(self.project_id) if k == kind]
            return bool(found)

        await until(has_come)
        return found[0]

    async def row(self, query: str, *values: Any) -> Any:
        [row] = await self.ingest.rows(query, *values)
        return row


@pytest.fixture
async def tailing(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Tailing]:
    runs_dir = tmp_path / "runs"
    async with ingesting.opened(database_url, redis_url) as ingest, ingest.running():
        options = TailerOptions(
            runs_dir,
            (runs_dir,),
            "default",
            poll_seconds=0.02,
            artifacts_url=(tmp_path / "objects").as_uri(),
        )
        (tmp_path / "objects").mkdir()
        yield Tailing(ingest, runs_dir, await ingest.project("default"), options)


async def test_a_directory_becomes_a_run_and_its_log_is_followed(tailing: Tailing) -> None:
    tailing.write("logs.txt", "one\ntwo\n")
    async with tailing.tailer():
        await tailing.has_lines(["one", "two"])
        tailing.write("logs.txt", "three\npart")
        tailing.write("logs.txt", "ial\n" + SENTINEL + "\nafter\n")
        await tailing.has_lines(["one", "two", "three", "partial", SENTINEL])
        closed = await tailing.until_event("log:closed")
        assert (closed["reason"], closed["lines"], closed["source"]) == ("sentinel", 5, "logs.txt")
        await until(lambda: _is(tailing, "SELECT bytes_after_end FROM log_sources", 6))
    row = await tailing.row("SELECT key, status FROM runs")
    assert tuple(row) == ("my-run", "running")


async def _is(tailing: Tailing, query: str, value: Any) -> bool:
    rows = await tailing.ingest.rows(query)
    return [tuple(row) for row in rows] == [(value,)]


async def test_a_run_that_is_known_is_fed_by_its_id(tailing: Tailing) -> None:
    run_id = await tailing.ingest.run(tailing.project_id)
    async with tailing.tailer():
        tailing.write("logs.txt", "hello\n", run=str(run_id))
        await tailing.has_lines(["hello"], str(run_id))


async def test_a_killed_tailer_goes_on_from_the_committed_cursor(tailing: Tailing) -> None:
    texts = [f"line {n}" for n in range(30_000)]
    tailing.write("logs.txt", "".join(f"{text}\n" for text in texts[:10_000]))
    async with tailing.tailer():
        await tailing.until_event("agent:log")
    tailing.write("logs.txt", "".join(f"{text}\n" for text in texts[10_000:]))
    async with tailing.tailer():
        await tailing.has_lines(texts)


async def test_redis_emptied_with_lines_in_flight_loses_nothing(tailing: Tailing) -> None:
    texts = [f"line {n}" for n in range(20_000)]
    async with tailing.tailer():
        for start in range(0, 20_000, 2_000):
            tailing.write("logs.txt", "".join(f"{t}\n" for t in texts[start : start + 2_000]))
            await asyncio.sleep(0.05)
            await tailing.ingest.bus.client.flushall()
        await tailing.has_lines(texts)


async def test_postgres_away_delays_and_loses_nothing(tailing: Tailing, postgres_url: str) -> None:
    texts = [f"line {n}" for n in range(20_000)]
    async with tailing.tailer():
        tailing.write("logs.txt", "".join(f"{text}\n" for text in texts[:10_000]))
        await tailing.until_event("agent:log")
        [name] = await tailing.row("SELECT current_database()")
        superuser = await asyncpg.connect(postgres_url)
        for _ in range(5):
            await superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
            )
            await asyncio.sleep(0.1)
        await superuser.close()
        tailing.write("logs.txt", "".join(f"{text}\n" for text in texts[10_000:]))
        await tailing.has_lines(texts)


async def test_progress_status_artifacts_and_output_of_a_plain_directory(tailing: Tailing) -> None:
    stamp = "2026-01-31T10:00:00+00:00"
    event = {"ts": stamp, "stage": "spec", "message": "m", "percent": 10}
    tailing.write("events.jsonl", json.dumps(event) + "\n")
    tailing.write("logs.txt", f"{stamp} [INFO] [spec] (10%) m\nlast without end")
    content = b'{"title":"T"}'
    folder = tailing.runs_dir / "my-run" / "artifacts" / "outline"
    folder.mkdir(parents=True)
    (folder / "v1.json").write_bytes(content)
    entry = {
        "artifact_id": str(uuid7()), "step_name": "outline", "version": 1, "size": len(content),
        "media_type": "application/json", "sha256": "0" * 64, "path": "artifacts/outline/v1.json",
    }  # fmt: skip
    (folder.parent / "index.json").write_text(json.dumps({"total": 1, "artifacts": [entry]}))
    with zipfile.ZipFile(tailing.runs_dir / "my-run" / "output.zip", "w") as archive:
        archive.writestr("game.bin", bytes(range(256)) * 4_096)
    status = {
        "run_id": "my-run", "status": "completed", "created_at": stamp, "updated_at": stamp,
        "events": [event],
    }  # fmt: skip
    (tailing.runs_dir / "my-run" / "status.json").write_text(json.dumps(status))
    async with tailing.tailer():
        await until(lambda: _is(tailing, "SELECT status FROM runs", "completed"))
        await until(lambda: _is(tailing, "SELECT count(*) FROM artifacts", 2))
        await until(
            lambda: _is(
                tailing, "SELECT count(*) FROM log_sources WHERE closed_reason = 'status'", 2
            )
        )
    assert await tailing.lines() == [f"{stamp} [INFO] [spec] (10%) m", "last without end"]
    progress = await tailing.until_event("run:progress")
    assert progress["percent"] == 10
    rows = await tailing.ingest.rows(
        "SELECT step_name, object_key IS NULL FROM artifacts ORDER BY 1"
    )
    assert [tuple(row) for row in rows] == [("outline", True), ("output", False)]
    assert await tailing.ingest.rejects() == []


async def test_a_closing_says_where_its_writer_counted_otherwise(tailing: Tailing) -> None:
    """`log: {lines, bytes}` of status.json is what RunTracker leaves at the end."""
    tailing.write("logs.txt", "one\ntwo\n", run="right")
    tailing.write("logs.txt", "one\ntwo\n", run="wrong")
    stamp = "2026-01-31T10:00:00+00:00"
    for run, lines in (("right", 2), ("wrong", 3)):
        status = {
            "run_id": run, "status": "completed", "created_at": stamp, "updated_at": stamp,
            "events": [], "log": {"lines": lines, "bytes": 8},
        }  # fmt: skip
        tailing.write("status.json", json.dumps(status), run=run)
    async with tailing.tailer():
        await until(
            lambda: _is(tailing, "SELECT count(*) FROM events WHERE type = 'log:closed'", 2)
        )
    closed = [
        data
        for kind, data in await tailing.ingest.events(tailing.project_id)
        if kind == "log:closed"
    ]
    told = {str(data["run_id"]): data.get("expected") for data in closed}
    assert {(data["lines"], data["bytes"], data["reason"]) for data in closed} == {(2, 8, "status")}
    assert told == {
        str(await tailing.run_id("right")): None,
        str(await tailing.run_id("wrong")): {"lines": 3, "bytes": 8},
    }


async def test_a_spool_is_fed_alone_and_once(tailing: Tailing) -> None:
    run_id = uuid7()
    spool: list[dict[str, Any]] = [
        {"type": "agent:started", "run_id": str(run_id), "id": "1", "data": {"key": "my-run"}},
        ingesting.lines(run_id, ["said"]),
        {"type": "agent:completed", "run_id": str(run_id), "id": "2", "data": {}},
    ]
    tailing.write("spool.jsonl", "".join(json.dumps(message) + "\n" for message in spool))
    tailing.write("logs.txt", "said\n")
    tailing.write("run.json", json.dumps(_run_json(run_id)))
    async with tailing.tailer():
        await tailing.until_event("agent:completed")
        await tailing.until_event("log:closed")
    async with tailing.tailer():
        await tailing.looked()
    assert await tailing.lines(str(run_id)) == ["said"]
    kinds = [event.type for event in await tailing.ingest.of_run(run_id)]
    assert kinds.count("agent:started") == kinds.count("agent:completed") == 1
    row = await tailing.row("SELECT name, key FROM runs WHERE id = $1", run_id)
    assert tuple(row) == ("A name", "my-run")


def _run_json(run_id: UUID) -> dict[str, Any]:
    stamp = "2026-01-31T10:00:00+00:00"
    return {
        "id": str(run_id), "key": "my-run", "project": "default", "status": "running",
        "steps": ["idea"], "step_timestamps": {}, "created_at": stamp, "updated_at": stamp,
        "name": "A name",
    }  # fmt: skip


async def test_a_path_that_was_asked_for_is_followed_until_it_is_not(tailing: Tailing) -> None:
    run_id = await tailing.ingest.run(tailing.project_id)
    path = tailing.runs_dir / "elsewhere" / "agent.log"
    await tailing.ask_for(run_id, "agent.log", path)
    async with tailing.tailer():
        await tailing.looked_at_what_is_asked_for()
        path.parent.mkdir(parents=True)
        path.write_text("one\n")
        await tailing.has_lines(["one"], str(run_id))
        await tailing.ingest.rows("UPDATE log_sources SET is_active = false RETURNING 1")
        await tailing.looked_at_what_is_asked_for()
        with path.open("a") as file:
            file.write("two\n")
        await tailing.looked()
        assert await tailing.lines(str(run_id)) == ["one"]


async def test_a_path_outside_the_roots_is_not_read(tailing: Tailing, tmp_path: Path) -> None:
    run_id = await tailing.ingest.run(tailing.project_id)
    secret = tmp_path / "secret.txt"
    secret.write_text("secret\n")
    tailing.runs_dir.mkdir()
    (tailing.runs_dir / "link").symlink_to(tmp_path)
    for number, path in enumerate([secret, tailing.runs_dir / "link" / "secret.txt"]):
        await tailing.ask_for(run_id, f"s{number}", path)
    async with tailing.tailer():
        await tailing.looked_at_what_is_asked_for()
    assert await tailing.lines(str(run_id)) == []


async def test_5000_idle_files_cost_next_to_nothing_and_delay_nobody(
    tailing: Tailing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that were quiet for ten minutes are looked at every two seconds, by one `lstat`, and read never;
    a new line still comes."""
    ids = [uuid7() for _ in range(5_000)]
    long_ago = time.time() - 1_200
    for run_id in ids:
        path = tailing.write("logs.txt", "", run=str(run_id))
        os.utime(path, (long_ago, long_ago))
    values = [(run_id, tailing.project_id, "phase1", [], "running") for run_id in ids]
    async with acquire(tailing.ingest.database.log) as connection:
        await connection.executemany(
            "INSERT INTO runs (id, project_id, phase, steps, status) VALUES ($1, $2, $3, $4, $5)",
            values,
        )
    options = replace(tailing.options, poll_seconds=0.1)
    async with replace(tailing, options=options).tailer() as supervisor:
        await until(lambda: _follows(supervisor, 5_000))
        looks = await _looks_of_sleepers(monkeypatch)
        assert looks.read == 0
        assert looks.number <= 5_000 * (looks.seconds / COLD_INTERVAL + 2)
        tailing.write("logs.txt", "one\n", run=str(ids[2_500]))
        await tailing.has_lines(["one"], str(ids[2_500]))
        tailing.write("logs.txt", "new\n", run="new-run")
        await tailing.has_lines(["new"], "new-run")


@dataclass
class _Looks:
    """How often files that sleep were looked at, and how often one of them was read, in how long."""

    number: int = 0
    read: int = 0
    seconds: float = 0.0


async def _looks_of_sleepers(monkeypatch: pytest.MonkeyPatch) -> _Looks:
    """Counts while each file has two turns, from when a whole turn went without reading anything."""
    looks = _Looks()
    is_unchanged, step = Follower.is_unchanged, Follower.step

    def looked(follower: Follower) -> bool:
        looks.number += 1
        return is_unchanged(follower)

    def stepped(follower: Follower, budget: int, *, settled: bool) -> Any:
        looks.read += 1
        return step(follower, budget, settled=settled)

    monkeypatch.setattr(Follower, "is_unchanged", looked)
    monkeypatch.setattr(Follower, "step", stepped)

    async def turn() -> float:
        looks.number = looks.read = 0
        return await until(lambda: looks.number + looks.read >= 5_000, "a turn of all files")

    while True:
        await turn()
        if looks.read == 0:
            break
    looks.seconds = await turn()
    return looks


async def _follows(supervisor: Supervisor, number: int) -> bool:
    return supervisor.number_of_files == number


async def test_a_trickle_beside_a_flood_is_not_starved(tailing: Tailing) -> None:
    async with tailing.tailer():
        flood = "".join(f"{n:07d} {'x' * 80}\n" for n in range(60_000))
        tailing.write("logs.txt", "begin\n", run="trickle")
        await tailing.has_lines(["begin"], "trickle")
        tailing.write("logs.txt", flood, run="flood")
        tailing.write("logs.txt", "beside\n", run="trickle")
        await tailing.has_lines(flood.splitlines(), "flood")
        await tailing.has_lines(["begin", "beside"], "trickle")
    numbers = [await tailing.numbers(run) for run in ("trickle", "flood")]
    assert numbers[0][-1] < numbers[1][-1], "it came while the flood went on"


async def test_two_tailers_one_works_the_other_waits(tailing: Tailing) -> None:
    async with tailing.tailer() as one:
        tailing.write("logs.txt", "one\n")
        await tailing.has_lines(["one"])
        async with tailing.tailer() as other:
            await until(lambda: _has_trouble(other))
            assert one.trouble is None
            tailing.write("logs.txt", "two\n")
            await tailing.has_lines(["one", "two"])
            assert other.trouble == "another tailer works on this directory"


async def _has_trouble(supervisor: Supervisor) -> bool:
    return supervisor.trouble is not None


async def test_a_second_name_for_a_run_is_not_followed_twice(tailing: Tailing) -> None:
    tailing.write("logs.txt", "one\n")
    (tailing.runs_dir / "latest").symlink_to("my-run")
    async with tailing.tailer():
        await tailing.has_lines(["one"])
        await tailing.looked()
    assert await tailing.row("SELECT count(*) FROM runs") == (2,)


async def test_an_invalid_json_file_is_left_alone(tailing: Tailing) -> None:
    tailing.write("status.json", '{"status": "completed"')
    tailing.write("run.json", "[]")
    tailing.write("logs.txt", "one\n")
    async with tailing.tailer():
        await tailing.has_lines(["one"])
        await tailing.looked()
    assert await tailing.row("SELECT status FROM runs WHERE key = 'my-run'") == ("running",)
    assert (tailing.runs_dir / "my-run" / "run.json").read_text() == "[]"


async def test_while_nobody_ingests_redis_holds_a_window_and_no_more(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with ingesting.opened(database_url, redis_url) as ingest:
        options = TailerOptions(tmp_path, (tmp_path,), "default", poll_seconds=0.02)
        tailing = Tailing(ingest, tmp_path, await ingest.project("default"), options)
        texts = [f"{n:06d} " + "x" * 200 for n in range(30_000)]
        tailing.write("logs.txt", "".join(f"{text}\n" for text in texts))
        async with tailing.tailer():
            await until(lambda: ingest.bus.client.xlen(TAILER_STREAM))
            tailing.write("logs.txt", "here\n", run="found-later")
            await until(lambda: _holds(ingest, b"found-later"))
            size = await ingest.bus.client.memory_usage(TAILER_STREAM)
            assert size < 3_000_000
            async with ingest.running():
                await tailing.has_lines(texts)


async def _holds(ingest: Ingest, text: bytes) -> bool:
    [(_, fields)] = await ingest.bus.client.xrevrange(TAILER_STREAM, count=1)
    return text in fields[b"m"]


async def test_killed_at_any_moment_again_and_again(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Tailer and ingester lose their connections and their tasks at a random await, 25 times, while the
    file grows and is rotated: at the end everything is there once."""
    dice = random.Random(4)
    options = TailerOptions(tmp_path, (tmp_path,), "default", poll_seconds=0.01)
    expected: list[str] = []
    async with ingesting.opened(database_url, redis_url) as ingest:
        project_id = await ingest.project("default")
        tailing = Tailing(ingest, tmp_path, project_id, options)
        path = tailing.write("logs.txt", "")
        for number in range(25):
            texts = [
                f"{number}/{n} {'x' * dice.randrange(200)}" for n in range(dice.randrange(2_000))
            ]
            expected += texts
            tailing.write("logs.txt", "".join(f"{text}\n" for text in texts))
            if number == 12:
                await _rotate_when_known(tailing, path)
            await _live_for(dice.random() * 0.3, database_url, redis_url, options)
        async with ingest.running(), tailing.tailer():
            await tailing.has_lines(expected)


async def _rotate_when_known(tailing: Tailing, path: Path) -> None:
    """Moves the file away once its first lines are stored: before that nobody could know it."""
    async with tailing.ingest.running(), tailing.tailer():
        await until(lambda: tailing.lines())
    os.rename(path, f"{path}.1")


async def _live_for(
    seconds: float, database_url: str, redis_url: str, options: TailerOptions
) -> None:
    """A process that does its work for so long and is gone without a word."""
    async with ingesting.opened(database_url, redis_url) as ingest:
        supervisor = Supervisor(options, Server(ingest.database.log), Shipper(ingest.bus.client))
        ingesters = ingest.ingesters()
        working = [asyncio.create_task(each.run()) for each in (supervisor, *ingesters)]
        await asyncio.sleep(seconds)
        ingest.database.log.terminate()
        await tasks.end(*working)
