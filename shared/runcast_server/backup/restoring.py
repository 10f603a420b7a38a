"""`runcast restore`: a backup into an empty database, compared with what it was."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg

from runcast_server import db, outages, postgres_hosts, unfinished_restore
from runcast_server.backup import facts, manifest, objects, programs
from runcast_server.backup.manifest import BackupError, Manifest
from runcast_server.backup.programs import Say
from runcast_server.eventlog import epoch
from runcast_server.process import migrate

SERVICE_ROLES = (db.LOG_ROLE, db.REQUEST_ROLE, db.ACCOUNTS_ROLE)
_IS_EMPTY = """
SELECT NOT EXISTS (
    SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v'))
"""


async def restore(url: str, objects_url: str, directory: Path, say: Say, *, jobs: int) -> None:
    """Loads the backup into the empty database of the owner's URL, which is made if there is none.

    Either all of it is there and as it was, or `BackupError` says what isn't. No server works on the database
    before that, also where this was interrupted (see `unfinished_restore`).
    """
    began = time.monotonic()
    made = manifest.read(directory)
    if unknown := sorted(set(made.versions) - set(migrate.versions())):
        raise BackupError(
            f"the backup is of Runcast {made.runcast}, which is later than this one (migration "
            f"{unknown[-1]}): restore it with that version"
        )
    say(f"checking the files of {made.made_at}")
    await asyncio.to_thread(manifest.check, directory, made)
    url = await _empty_database(url)
    await _load(url, directory, made, say, jobs)
    await _compare(url, made, say)
    if applied := await asyncio.to_thread(migrate.up, url, say, is_restore=True):
        say(f"{len(applied)} migrations applied that are newer than the backup")
    await objects.copy_in(objects_url, made.objects, directory)
    number = await epoch.renew_all(url)
    say(f"rotated the epoch of {number} projects; clients will get a `gap` and read again")
    say(f"restored in {time.monotonic() - began:.1f} s")
    missing = sum(not each.is_copied for each in made.objects)
    if missing:
        say(f"{missing} artifacts lie in {made.objects_url}: restore that as well")


async def _load(url: str, directory: Path, made: Manifest, say: Say, jobs: int) -> None:
    connection = await postgres_hosts.connect(url, seconds=postgres_hosts.CONNECT_SECONDS)
    try:
        server = connection.get_server_version().major
        await unfinished_restore.begin(connection)
        await _make_roles(connection, made.roles)
    except asyncpg.PostgresError as error:
        raise BackupError(f"the database can't be prepared: {outages.line_of(error)}") from error
    finally:
        await connection.close()
    program = programs.find("pg_restore", max(server, int(made.postgres.partition(".")[0])))
    began = time.monotonic()
    command = [program, "--exit-on-error", "--no-owner", str(directory / manifest.DUMP)]
    command += ["--single-transaction"] if jobs == 1 else [f"--jobs={jobs}"]
    say(f"loading into {postgres_hosts.place(url)}")
    with tempfile.NamedTemporaryFile("w", suffix=".list") as chosen:
        chosen.write(programs.contents(program, directory / manifest.DUMP))
        chosen.flush()
        command.append(f"--use-list={chosen.name}")
        await programs.run(
            command, url, say, lambda: f"loading for {time.monotonic() - began:.0f} s"
        )


async def _make_roles(connection: Any, names: list[str]) -> None:
    """Those that grants name, without a way to log in: that is `runcast migrate`'s to give. The owner may
    become the service roles."""
    for name in dict.fromkeys([*SERVICE_ROLES, *names]):
        role = await connection.fetchval("SELECT quote_ident($1)", name)
        if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", name):
            await connection.execute(f"CREATE ROLE {role} NOLOGIN")
    for role in SERVICE_ROLES:
        if not await connection.fetchval("SELECT pg_has_role(current_user, $1::name, 'SET')", role):
            await connection.execute(f"GRANT {role} TO CURRENT_USER WITH SET TRUE")
    # Accounts see what requests see: a membership, which no dump of a database holds.
    if not await connection.fetchval(
        "SELECT pg_has_role($1::name, $2::name, 'USAGE')", db.ACCOUNTS_ROLE, db.REQUEST_ROLE
    ):
        await connection.execute(f"GRANT {db.REQUEST_ROLE} TO {db.ACCOUNTS_ROLE}")


async def _compare(url: str, made: Manifest, say: Say) -> None:
    connection = await postgres_hosts.connect(url, seconds=postgres_hosts.CONNECT_SECONDS)
    try:
        now = await facts.of(connection)
        await connection.execute("ANALYZE")
    finally:
        await connection.close()
    if found := facts.differences(made.facts, now):
        raise BackupError("the restored database isn't what it was:\n  " + "\n  ".join(found))
    counted = ", ".join(f"{len(named):,} {kind}" for kind, named in now.items() if kind != "rows")
    rows = sum(int(count) for count in now["rows"].values())
    say(f"all is as it was: {rows:,} rows of {len(now['rows'])} tables, {counted}")


async def _empty_database(url: str) -> str:
    """The URL of the host that takes writes, with a database in which nothing is. Raises `BackupError`."""
    try:
        url = await postgres_hosts.writable(url)
        await asyncio.to_thread(migrate.create, url)
        connection = await postgres_hosts.connect(url, seconds=postgres_hosts.CONNECT_SECONDS)
    except (OSError, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
        place = postgres_hosts.place(url)
        raise BackupError(f"{place} can't be used: {outages.line_of(error)}") from error
    try:
        is_empty = await connection.fetchval(_IS_EMPTY)
        is_unfinished = await unfinished_restore.is_marked(connection)
        name = await connection.fetchval("SELECT current_database()")
    finally:
        await connection.close()
    if not is_empty and is_unfinished:
        raise BackupError(f"{name}: {unfinished_restore.ADVICE}")
    if not is_empty:
        raise BackupError(
            f"the database {name} isn't empty, and a restore replaces nothing: name another one, or drop it"
        )
    return url
