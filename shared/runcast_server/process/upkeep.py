"""The commands that work on all of an installation's data: backup, restore, and what follows a restore."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg

from runcast_server import embedded, outages, postgres_hosts
from runcast_server.backup import making, manifest, restoring
from runcast_server.backup.manifest import BackupError
from runcast_server.eventlog import epoch
from runcast_server.process import datadir, db_roles, process
from runcast_server.settings import ServerSettings

STOP_SECONDS = 10.0
Say = Callable[[str], None]


def back_up(
    read: ServerSettings, say: Say, directory: Path, *, jobs: int, artifacts: bool | None
) -> None:
    """Raises `BackupError`, `EmbeddedError`."""
    if read.postgres.database_url is None and not embedded.Postgres(read.process.data).exists:
        raise BackupError(
            f"there is no database in {read.process.data}: name another --data, or --database-url"
        )
    objects_url = read.artifacts_url
    with_objects = objects_url.startswith("file:") if artifacts is None else artifacts
    with _ended_by_sigterm(), _owner_url(read) as url:
        making.make(
            url, objects_url, directory.absolute(), say, jobs=jobs, with_objects=with_objects
        )


def restore(read: ServerSettings, say: Say, directory: Path, *, jobs: int) -> None:
    """Raises `BackupError`, `EmbeddedError`, `MigrationError`, `InUseError`."""
    manifest.read(directory)  # before anything is made for it
    if read.postgres.database_url is None:
        with datadir.locked(read.process.data):  # a `runcast up` would serve what is half restored
            pass
    with _ended_by_sigterm(), _owner_url(read) as url:
        asyncio.run(_restore(read, url, directory.absolute(), say, jobs))


async def _restore(read: ServerSettings, url: str, directory: Path, say: Say, jobs: int) -> None:
    await restoring.restore(url, read.artifacts_url, directory, say, jobs=jobs)
    if (urls := read.postgres.service_urls) is not None:
        await db_roles.ensure(url, urls)
        say("the logins of the services are there, with the passwords of the settings")


async def after_restore(read: ServerSettings, say: Say) -> None:
    """Raises `StartError`."""
    url = read.postgres.database_url or embedded.Postgres(read.process.data).url
    try:
        number = await epoch.renew_all(url)
    except (OSError, asyncpg.PostgresError) as error:
        place = postgres_hosts.place(url)
        raise process.StartError(f"{place} can't be reached: {outages.line_of(error)}") from error
    say(f"rotated the epoch of {number} projects; clients will get a `gap` and read again")


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends as Ctrl-C does: with the programs that were started, and what they wrote."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _owner_url(read: ServerSettings) -> Iterator[str]:
    """The owner's URL of the settings, or of the embedded server, which is started if it isn't running."""
    if read.postgres.database_url is not None:
        yield read.postgres.database_url
        return
    postgres = embedded.Postgres(read.process.data)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(datadir.locked(read.process.data))
        except datadir.InUseError:  # `runcast up` has it running, and goes on
            yield postgres.url
            return
        postgres.start()
        try:
            yield postgres.url
        finally:
            postgres.stop(STOP_SECONDS)
