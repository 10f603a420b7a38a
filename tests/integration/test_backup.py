"""A backup that is made under load, and restored on another server by an owner without superuser."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncpg
import pytest

from runcast_server.backup import facts, making, manifest, programs, restoring
from runcast_server.backup.manifest import BackupError
from runcast_server.eventlog import epoch
from runcast_server.process import db_roles, migrate, wait_for
from runcast_server.process.launch import INTERRUPTED
from tests import managed
from tests.conftest import run_sql
from tests.integration.rest import Rest, serving
from tests.integration.streams import hub, stream
from tests.integration.test_api_artifacts import upload
from tests.managed import Managed
from tests.processes import Process
from tests.urls import in_database
from tests.waiting import until

pytestmark = pytest.mark.anyio
LARGE = b"\x00\x01runcast" * 200_000
"""More than lies in a row."""


@dataclass
class Said:
    """What a command says."""

    lines: list[str] = field(default_factory=list)

    def __call__(self, text: str) -> None:
        self.lines.append(text)

    def __str__(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Managed]:
    """An empty server on which nothing of ours was ever made."""
    with managed.server(tmp_path_factory.mktemp("elsewhere")) as server:
        yield server


@contextlib.asynccontextmanager
async def writing(rest: Rest, run: str) -> AsyncIterator[None]:
    """Events come in, one commit after another, for as long as the block lasts."""

    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            sent = await rest.admin.post(f"/runs/{run}/logs", json={"message": "busy"})
            assert sent.status_code < 300, sent.text

    task = asyncio.create_task(write())
    try:
        yield
    finally:
        stop.set()
        await task


async def test_a_backup_under_load_restores_all_that_it_had(
    database_url: str, redis_url: str, tmp_path: Path, elsewhere: Managed
) -> None:
    data, there, backup = tmp_path / "here", tmp_path / "there", tmp_path / "backup"
    await db_roles.ensure(database_url, db_roles.embedded(database_url))
    async with serving(database_url, redis_url, data) as rest:
        project, run = await rest.project(), await rest.run()
        made = await upload(rest, run, LARGE)
        assert made.status_code == 201, made.text
        async with writing(rest, run):
            await until(lambda: _head(database_url, project, at_least=20))
            said = Said()
            await asyncio.to_thread(
                making.make,
                database_url,
                (data / "artifacts").as_uri(),
                backup,
                said,
                jobs=2,
                with_objects=True,
            )
            kept = manifest.read(backup)
            epoch, last, _ = kept.facts["positions"][project].split()
            await until(lambda: _head(database_url, project, at_least=int(last) + 5))
        before = await _frames(database_url, redis_url, project, int(last))
    assert "1 of 1 artifacts" in str(said)
    assert backup.stat().st_mode & 0o077 == 0

    url = in_database(elsewhere.owner_url, "restored")
    objects = (there / "artifacts").as_uri()
    said = Said()
    await restoring.restore(url, objects, backup, said, jobs=1)
    assert "all is as it was" in str(said)
    assert "restored in" in str(said)
    assert await _frames(url, redis_url, project, int(last)) == before
    async with hub(url, redis_url) as served:
        path = f"/projects/{project}/events?epoch={epoch}"
        async with stream(served, path, last_event_id=last) as reader:
            await reader.until(lambda r: bool(r.of("gap")))
            assert reader.of("gap")[0].data["reason"] == "reset"
    async with serving(url, redis_url, there) as rest:
        answer = await rest.admin.get(f"/artifacts/{made.json()['id']}/content")
        assert answer.content == LARGE
        assert (await rest.admin.post(f"/projects/{project}/runs", json={})).status_code == 201


async def _frames(url: str, redis_url: str, project: str, last: int) -> bytes:
    """What a stream replays, lines included, up to a number."""
    async with hub(url, redis_url) as served:
        path = f"/projects/{project}/events?subscribe_logs=all"
        async with stream(served, path, last_event_id="0") as reader:
            await reader.until(lambda r: last in r.ids)
            told = [frame for frame in reader.frames if frame.id is not None and frame.event]
            return b"".join(frame.raw for frame in told if frame.id and frame.id <= last)


async def _head(url: str, project: str, *, at_least: int) -> bool:
    connection = await asyncpg.connect(url)
    try:
        return bool(
            await connection.fetchval(
                "SELECT last_seq >= $2 FROM project_counters WHERE project_id = $1::text::uuid",
                project,
                at_least,
            )
        )
    finally:
        await connection.close()


@pytest.fixture
def backup(database_url: str, tmp_path: Path) -> Path:
    """One of an empty installation, quickly made."""
    directory = tmp_path / "backup"
    objects = (tmp_path / "artifacts").as_uri()
    making.make(database_url, objects, directory, Said(), jobs=1, with_objects=True)
    return directory


def refused(url: str, backup: Path) -> str:
    with pytest.raises(BackupError) as error:
        asyncio.run(restoring.restore(url, (backup / "x").as_uri(), backup, Said(), jobs=1))
    return str(error.value)


def test_what_is_wrong_with_a_backup_or_its_place_is_said_before_anything_is_done(
    backup: Path, elsewhere: Managed, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = in_database(elsewhere.owner_url, "refusals")
    assert "isn't empty, and a restore replaces nothing" in refused(database_url, backup)
    assert "is no backup: manifest.json" in refused(url, backup / "dump")
    with pytest.raises(BackupError, match="isn't empty: name another directory"):
        making.make(database_url, "file:///nowhere", backup, Said(), jobs=1, with_objects=False)
    whole = manifest.read(backup)
    manifest.write(backup, replace(whole, versions=[*whole.versions, "29990101000000"]))
    assert "later than this one (migration 29990101000000)" in refused(url, backup)
    manifest.write(backup, whole)
    damaged = next((backup / "dump").glob("*.dat*"))
    kept = damaged.read_bytes()
    damaged.write_bytes(kept + b"x")
    assert f"{damaged.name} isn't as it was written" in refused(url, backup)
    damaged.unlink()
    assert f"{damaged.name} is missing" in refused(url, backup)
    damaged.write_bytes(kept)
    monkeypatch.setattr(programs, "_version", lambda program: 9)
    assert "pg_restore of Postgres 18 or later is needed (there is one of 9)" in refused(
        url, backup
    )


def test_a_copy_that_lacks_something_is_no_restore(backup: Path, elsewhere: Managed) -> None:
    """Fewer rows, another policy, a missing right: each is named."""
    whole = manifest.read(backup)
    told = {kind: dict(named) for kind, named in whole.facts.items()}
    told["rows"]["users"] = "7"
    told["policies"].popitem()
    told["grants"]["users to runcast_request"] = "DELETE"
    manifest.write(backup, replace(whole, facts=told))
    url = in_database(elsewhere.owner_url, "lacking")
    said = refused(url, backup)
    assert "rows: users: 7 in the backup, 0 now" in said
    assert "policies: " in said
    assert "grants: users to runcast_request: DELETE in the backup" in said
    # No server works on what was left, until someone says that it is whole.
    assert "a restore into this database was not finished" in refused(url, backup)
    with pytest.raises(migrate.MigrationError, match="was not finished: drop the database"):
        migrate.up(url)
    with pytest.raises(wait_for.BackingServiceError, match="was not finished: drop the database"):
        asyncio.run(wait_for.wait_for_schema(url, 0, Said()))
    assert asyncio.run(epoch.renew_all(url)) == 0
    assert migrate.up(url) == []


async def test_an_interrupted_backup_leaves_nothing(database_url: str, tmp_path: Path) -> None:
    """Neither a directory nor a pg_dump that goes on, which here waits for a lock."""
    directory = tmp_path / "backups"
    directory.mkdir()
    command = ["backup", str(directory / "b"), "--database-url", database_url, "--no-artifacts"]
    process = Process(tmp_path, command)
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE users")
            process.start()

            async def waits() -> bool:
                assert not process.has_ended, process.said
                locks = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                return bool(await connection.fetchval(locks))

            await until(waits, "pg_dump to wait")
            assert await asyncio.to_thread(process.stop) == INTERRUPTED
            assert await asyncio.to_thread(os.listdir, directory) == []

        async def is_alone() -> bool:
            return bool(await connection.fetchval(sessions) == 1)

        await until(is_alone, "pg_dump to end")
    finally:
        process.cleanup()
        await connection.close()


async def test_a_dump_alone_loads_with_psql_once_the_roles_are_there(
    database_url: str, elsewhere: Managed
) -> None:
    """What operations.md says of a plain dump."""
    url = in_database(managed.superuser(elsewhere.owner_url), "plain")
    dump = await _output("pg_dump", "--no-owner", database_url)
    await asyncio.to_thread(
        run_sql, managed.superuser(elsewhere.owner_url), "CREATE DATABASE plain"
    )
    for role in restoring.SERVICE_ROLES:
        with contextlib.suppress(asyncpg.DuplicateObjectError):
            await asyncio.to_thread(run_sql, url, f"CREATE ROLE {role}")
    await _output("psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--quiet", url, given=dump)
    before, now = await _facts(database_url), await _facts(url)
    assert facts.differences(before, now) == []


async def _output(name: str, *arguments: str, given: bytes = b"") -> bytes:
    process = await asyncio.create_subprocess_exec(
        programs.find(name, 18),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate(given)
    assert process.returncode == 0, errors.decode()
    return out


async def _facts(url: str) -> facts.Facts:
    connection = await asyncpg.connect(url)
    try:
        return await facts.of(connection)
    finally:
        await connection.close()
