"""`runcast backup`: everything as it was at one moment, while the servers go on."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import asyncpg

from runcast_server import outages, postgres_hosts
from runcast_server.backup import facts, manifest, objects, programs
from runcast_server.backup.manifest import BackupError, Manifest
from runcast_server.backup.programs import Say

APPLICATION = "backup of runcast"
"""Not `runcast …`: the sweeper ends sessions of that name that hold a transaction open for long."""


def make(
    url: str, objects_url: str, directory: Path, say: Say, *, jobs: int, with_objects: bool
) -> None:
    """Writes a backup into `directory`, which must be empty or absent; it appears when it is whole.

    Raises `BackupError`.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise BackupError(f"{directory} isn't empty: name another directory")
    began = time.monotonic()
    partial = directory.with_name(f".{directory.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(
            mode=0o700, parents=True
        )  # it holds hashes of passwords and all that was said
        made = asyncio.run(
            _fill(partial, url, objects_url, say, jobs=jobs, with_objects=with_objects)
        )
        manifest.write(partial, made)
        if directory.exists():
            directory.rmdir()
        partial.rename(directory)
    except OSError as error:
        raise BackupError(f"{directory} can't be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _say_done(made, directory, say, time.monotonic() - began)


async def _fill(
    directory: Path, url: str, objects_url: str, say: Say, *, jobs: int, with_objects: bool
) -> Manifest:
    began_at = datetime.now(UTC).isoformat(timespec="seconds")
    async with _snapshot(url) as (connection, snapshot):
        versions = await facts.versions(connection)
        if not versions:
            raise BackupError("there is no schema of Runcast in this database")
        server = connection.get_server_version()
        program = programs.find("pg_dump", server.major)
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
        say(f"backing up {_megabytes(size)} of {postgres_hosts.place(url)}")
        dump = directory / manifest.DUMP
        command = [program, "--format=directory", f"--file={dump}", f"--jobs={jobs}", "--no-owner"]
        command += [f"--snapshot={snapshot}", "--schema=public"]
        await programs.run(command, url, say, lambda: f"dumped {_megabytes(_size_of(dump))}")
        say("counting what the copy must have")
        found, roles = await facts.of(connection), await facts.roles(connection)
        kept = await objects.named(connection)
    if with_objects:
        kept = await objects.copy_out(objects_url, kept, directory, say)
    return Manifest(
        manifest.FORMAT,
        began_at,
        version("runcast"),
        f"{server.major}.{server.minor}",
        versions,
        roles,
        found,
        objects_url,
        kept,
        manifest.sums(directory),
    )


@asynccontextmanager
async def _snapshot(url: str) -> AsyncIterator[tuple[Any, str]]:
    """A transaction that keeps one moment for all who read by the name of its snapshot."""
    try:
        connection = await postgres_hosts.connect(
            url,
            seconds=postgres_hosts.CONNECT_SECONDS,
            server_settings={"application_name": APPLICATION},
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
        place = postgres_hosts.place(url)
        raise BackupError(f"{place} can't be reached: {outages.line_of(error)}") from error
    try:
        await connection.execute(
            """SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0;
               SET transaction_timeout = 0; SET row_security = off"""
        )
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection, await connection.fetchval("SELECT pg_export_snapshot()")
    except asyncpg.PostgresError as error:
        raise BackupError(f"the database can't be read: {outages.line_of(error)}") from error
    finally:
        connection.terminate()


def _say_done(made: Manifest, directory: Path, say: Say, seconds: float) -> None:
    rows = sum(int(count) for count in made.facts["rows"].values())
    copied = sum(each.is_copied for each in made.objects)
    size = _size_of(directory)
    artifacts = f"{copied:,} of {len(made.objects):,} artifacts of the store"
    say(f"{directory}: {rows:,} rows, {artifacts}, {_megabytes(size)}, in {seconds:.1f} s")
    if copied < len(made.objects):
        say(f"back up {made.objects_url} as well: it holds what artifacts above 1 MiB contain")


def _size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:,.1f} MB"
