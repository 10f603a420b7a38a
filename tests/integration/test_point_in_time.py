"""The drill of operations.md: back to a moment before an accident, out of a base backup and archived WAL."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from runcast_server import embedded
from runcast_server.embedded.postgres import binary
from runcast_server.eventlog import epoch
from runcast_server.process import db_roles, migrate
from tests import managed
from tests.integration.rest import serving
from tests.managed import Managed, superuser
from tests.servers import FAST_POSTGRES
from tests.waiting import until

pytestmark = pytest.mark.anyio
LINES = ["before the copy", "after the copy"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Managed]:
    """It keeps its write-ahead log in `archive`."""
    for name in ("archive", "copy"):
        (tmp_path / name).mkdir()
    keeping = {"archive_mode": "on", "archive_command": f"'cp %p {tmp_path}/archive/%f'"}
    with managed.server(tmp_path / "primary", keeping) as server:
        owner = server.server.home.stat()
        for name in ("archive", "copy"):
            os.chown(tmp_path / name, owner.st_uid, owner.st_gid)
        migrate.up(server.owner_url)
        yield server


async def test_back_to_the_moment_before_an_accident(
    server: Managed, redis_url: str, tmp_path: Path
) -> None:
    archive, copy = tmp_path / "archive", tmp_path / "copy"
    async with serving(server.owner_url, redis_url, tmp_path) as rest:
        run = await rest.run(await rest.project())
        for number, line in enumerate(LINES):
            sent = await rest.admin.post(f"/runs/{run}/logs", json={"message": line})
            assert sent.status_code == 201, sent.text
            if number == 0:
                await asyncio.to_thread(back_up, server, copy / "postgres")
        was = await positions(server.owner_url)
    moment = await accident(server)
    target = {
        "restore_command": f"'cp {archive}/%f %p'",
        "recovery_target_time": f"'{moment}'",
        "recovery_target_action": "promote",
    }
    restored = embedded.Postgres(copy, extra={**FAST_POSTGRES, **target})
    (restored.home / "recovery.signal").touch()
    restored.start()
    try:
        url = db_roles.as_login(restored.url, managed.OWNER)
        await until(lambda: is_primary(url), "the end of recovery")
        assert await positions(url) == was
        assert await epoch.renew_all(url) == 1
        assert await positions(url) != was
        async with serving(url, redis_url, tmp_path) as rest:
            page = await rest.admin.get(f"/runs/{run}/logs")
            assert [each["message"] for each in page.json()["logs"]] == LINES
    finally:
        restored.stop(5)


def back_up(server: Managed, directory: Path) -> None:
    owner = server.server.home.stat()
    is_root = os.geteuid() == 0
    subprocess.run(
        [
            binary("pg_basebackup"),
            "--checkpoint=fast",
            f"--pgdata={directory}",
            f"--dbname={superuser(server.owner_url)}",
        ],
        check=True,
        user=owner.st_uid if is_root else None,
        group=owner.st_gid if is_root else None,
    )
    # The socket of the server lies in its directory, and its lock was copied.
    (directory / ".s.PGSQL.5432.lock").unlink(missing_ok=True)


async def accident(server: Managed) -> str:
    """Everything is deleted; the moment before. Returns when the archive has it."""
    connection = await asyncpg.connect(superuser(server.owner_url))
    try:
        moment = str(await connection.fetchval("SELECT clock_timestamp()::text"))
        await connection.execute("TRUNCATE segments; UPDATE project_counters SET last_seq = 0")
        wal = await connection.fetchval("SELECT pg_walfile_name(pg_current_wal_lsn())")
        await connection.execute("SELECT pg_switch_wal()")
        archived = "SELECT last_archived_wal >= $1 FROM pg_stat_archiver"
        await until(lambda: connection.fetchval(archived, wal), "the archive")
    finally:
        await connection.close()
    return moment


async def positions(url: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT project_id, epoch, last_seq FROM project_counters")
        return [tuple(row) for row in rows]
    finally:
        await connection.close()


async def is_primary(url: str) -> bool:
    connection = await asyncpg.connect(url)
    try:
        return not await connection.fetchval("SELECT pg_is_in_recovery()")
    finally:
        await connection.close()
