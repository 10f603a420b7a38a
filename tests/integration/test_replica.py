"""A real streaming standby: reads go there, and to the primary where it lags, is away, or knows less."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from runcast_server import db_health, embedded, replica
from runcast_server.db import LOG_ROLE, REQUEST_ROLE, Pool, Urls, acquire, open_database
from runcast_server.doctor import checks, postgres
from runcast_server.process import migrate
from runcast_server.replica import Lacking, Replica
from tests import managed
from tests.integration.rest import Rest, serving
from tests.integration.streams import hub, stream
from tests.torture.programs import free_port
from tests.waiting import until

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Two:
    """A primary and its standby, by the owner's URLs."""

    primary: str
    standby: str
    server: embedded.Postgres
    """The standby's."""

    async def on_standby(self, statement: str) -> Any:
        """As its superuser."""
        return await _asked(managed.superuser(self.standby), statement)

    async def caught_up(self) -> None:
        """Returns when the standby has replayed all that the primary has now."""
        await self.on_standby("SELECT pg_wal_replay_resume()")
        at = await _asked(managed.superuser(self.primary), "SELECT pg_current_wal_lsn()::text")
        has_it = f"SELECT pg_last_wal_replay_lsn() >= '{at}'::pg_lsn"
        await until(lambda: self.on_standby(has_it), "the standby to catch up")

    async def lags(self) -> None:
        """From now on it replays nothing."""
        await self.on_standby("SELECT pg_wal_replay_pause()")
        paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'"
        await until(lambda: self.on_standby(paused), "the standby to pause")


async def _asked(url: str, statement: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with managed.server(tmp_path_factory.mktemp("primary")) as primary:
        migrate.up(primary.owner_url)
        place = tmp_path_factory.mktemp("standby")
        with managed.standby(primary, place) as (server, standby):
            yield Two(primary.owner_url, standby, server)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many reads the standby served, and how many it left to the primary."""
    counts: Counter[str] = Counter()
    read = Replica.read

    async def counted(*arguments: Any) -> Any:
        try:
            found = await read(*arguments)
        except Lacking:
            counts["primary"] += 1
            raise
        counts["standby"] += 1
        return found

    monkeypatch.setattr(Replica, "read", counted)
    return counts


@pytest.fixture
async def rest(
    two: Two, redis_url: str, tmp_path: Path, served: Counter[str]
) -> AsyncIterator[Rest]:
    async with serving(two.primary, redis_url, tmp_path, database_read_url=two.standby) as rest:
        yield rest


async def wrote(rest: Rest, run: str, *texts: str) -> None:
    entries = [{"message": text} for text in texts]
    answer = await rest.admin.post(f"/runs/{run}/logs", json=entries)
    assert answer.status_code == 201, answer.text


async def log_of(rest: Rest, run: str, **headers: str) -> tuple[list[str], int]:
    """A page of a run's lines, and the head that it tells."""
    answer = await rest.admin.get(f"/runs/{run}/logs?limit=100", headers=headers)
    assert answer.status_code == 200, answer.text
    return [each["message"] for each in answer.json()["logs"]], int(answer.headers["runcast-head"])


async def test_what_the_standby_has_it_serves(two: Two, rest: Rest, served: Counter[str]) -> None:
    project, run = await rest.project("served"), await rest.run("served")
    await wrote(rest, run, "one", "two")
    await two.caught_up()
    lines, head = await log_of(rest, run)
    assert lines == ["one", "two"]
    assert head == (await log_of(rest, run))[1]
    for path in (
        f"/runs/{run}/logs/search?q=two",
        f"/runs/{run}/export?format=ndjson",
        f"/projects/{project}/export?format=ndjson",
    ):
        before = served["standby"]
        assert '"two"' in (await rest.admin.get(path)).text
        assert served["standby"] > before, path
    text = await rest.admin.get(f"/runs/{run}/logs", headers={"Accept": "text/plain"})
    assert text.text == "one\ntwo\n"
    assert served["primary"] == 0
    assert "replica" not in (await rest.service.ready()).degraded


async def test_what_the_standby_lacks_comes_from_the_primary(
    two: Two, rest: Rest, served: Counter[str]
) -> None:
    """New lines, a redaction, a new member: none of it may be missing, however far it lags."""
    project, run = await rest.project("lags"), await rest.run("lags")
    await wrote(rest, run, "secret", "b")
    await two.caught_up()
    alice = rest.person("alice")
    assert (await rest.admin.get("/auth/me", headers=alice)).status_code == 200
    await two.lags()
    try:
        added = await rest.admin.put(
            f"/projects/{project}/members/{await _id_of(rest, alice)}", json={"role": "viewer"}
        )
        assert added.status_code < 300, added.text
        before = served.copy()
        assert (await log_of(rest, run, **alice))[0] == ["secret", "b"]
        assert served["primary"] > before["primary"]
        await wrote(rest, run, "c")
        assert (await log_of(rest, run))[0] == ["secret", "b", "c"]
        redacted = await rest.admin.post(
            f"/runs/{run}/logs/redact", json={"from_line": 1, "to_line": 1}
        )
        assert redacted.status_code == 200, redacted.text
        before = served.copy()
        assert "secret" not in (await rest.admin.get(f"/runs/{run}/export?format=ndjson")).text
        assert "secret" not in (await log_of(rest, run))[0]
        assert served["standby"] == before["standby"]
    finally:
        await two.caught_up()
    assert "secret" not in (await log_of(rest, run))[0]
    assert served["standby"] > before["standby"]


async def _id_of(rest: Rest, headers: dict[str, str]) -> str:
    return str((await rest.admin.get("/auth/me", headers=headers)).json()["id"])


async def test_streams_replay_from_the_standby_and_past_it(
    two: Two, rest: Rest, redis_url: str, served: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await rest.run(str(await rest.project("streams")))
    await wrote(rest, run, "one", "two")
    await two.caught_up()
    path = "/projects/streams/events?subscribe_logs=all"
    async with hub(two.primary, redis_url, read_url=two.standby) as its:
        async with stream(its, path, last_event_id="0") as reader:
            await reader.until(lambda r: len(r.of("agent:log")) == 2)
        assert served["standby"] > 0
    await two.lags()
    try:
        await wrote(rest, run, "three")
        async with (
            hub(two.primary, redis_url, read_url=two.standby) as its,
            stream(its, path, last_event_id="0") as reader,
        ):
            await reader.until(lambda r: len(r.of("agent:log")) == 3)
            assert not reader.of("gap")
    finally:
        await two.caught_up()
    assert served["primary"] > 0


async def test_a_standby_that_is_away_is_done_without(
    two: Two, rest: Rest, served: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And named; once it is back, it is asked again."""
    await rest.project("away")
    run = await rest.run("away")
    await wrote(rest, run, "one")
    await two.caught_up()
    monkeypatch.setattr(replica, "AWAY_SECONDS", 0.1)
    await asyncio.to_thread(two.server.stop, 5)
    try:
        for _ in range(3):
            assert (await log_of(rest, run))[0] == ["one"]
        degraded = (await rest.service.ready()).degraded
        assert degraded["replica"].startswith("reads go to the primary: ")
        assert served["standby"] == 0
    finally:
        await asyncio.to_thread(two.server.start)

    async def is_asked() -> bool:
        assert (await log_of(rest, run))[0] == ["one"]
        return served["standby"] > 0

    await until(is_asked)
    assert "replica" not in (await rest.service.ready()).degraded


async def test_the_doctor_looks_at_the_standby(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "CHECKS", {"postgres": postgres.check})
    monkeypatch.setenv("RUNCAST_DATABASE_URL", two.primary)
    for url, expected in (
        (two.standby, "a standby that keeps up"),
        (two.primary, "names no standby"),
        (f"postgresql://owner@127.0.0.1:{free_port()}/none", "can't be used"),
    ):
        monkeypatch.setenv("RUNCAST_DATABASE_READ_URL", url)
        found = await asyncio.to_thread(checks.examine)
        assert any(expected in each.text for each in found if each.about == "replica"), found


async def test_connections_to_a_server_that_was_demoted_are_replaced(two: Two) -> None:
    """Those that only read meet no error: readiness finds them."""
    database = await open_database(Urls(two.primary, requests=two.standby), requests=1, log=1)
    try:
        before = [await _process(pool) for pool in (database.log, database.requests)]
        assert await db_health.refusal(database, (LOG_ROLE, REQUEST_ROLE)) is None
        after = [await _process(pool) for pool in (database.log, database.requests)]
    finally:
        await database.close()
    assert after[0] == before[0]
    assert after[1] != before[1]


async def _process(pool: Pool) -> int:
    async with acquire(pool) as connection:
        found: int = await connection.fetchval("SELECT pg_backend_pid()")
        return found
