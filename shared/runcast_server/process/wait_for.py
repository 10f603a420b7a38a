"""Waiting for Postgres and Redis when a process starts before they do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

import asyncpg
import redis

from runcast._support import redis_url
from runcast_server import db, outages, postgres_hosts, unfinished_restore
from runcast_server.errors import ExplainedError
from runcast_server.eventlog import conversion
from runcast_server.eventlog.bus import Bus
from runcast_server.process import migrate
from runcast_server.redis_access.diagnosis import WrongServer

RETRY_SECONDS = 0.5
SAY_EVERY_SECONDS = 5.0
CONNECT_SECONDS = 3.0
PROBE_SECONDS = 10.0
"""For one look, whatever it is made of: several sentinels, or servers, that are silent."""

Say = Callable[[str], None]
T = TypeVar("T")

_LOGIN = "(RUNCAST_REDIS_URL names it: redis://user:password@host:6379/0)"
_IDENTITY = "SELECT datname::text, oid::bigint FROM pg_database WHERE datname = current_database()"
_UNUSABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class BackingServiceError(ExplainedError):
    """A backing service is absent or unusable. The message names it, where, and why."""


class OtherDatabase(ExplainedError):
    """URLs that must name one database name several. The message says which."""


async def wait_for_postgres(url: str, seconds: float, say: Say) -> None:
    """Return when Postgres takes connections, whether or not the database exists yet."""

    async def probe() -> None:
        async with _connected(url):
            pass

    await _until(f"Postgres at {postgres_hosts.place(url)}", probe, seconds, say)


async def wait_for_schema(url: str, seconds: float, say: Say) -> None:
    """Return when the database has every migration of this version."""

    async def probe() -> None:
        async with _connected(url) as connection:
            if connection is None:
                raise BackingServiceError("there is no such database: run `runcast migrate`")
            there, ours = await _applied(connection), set(migrate.versions())
            if missing := ours - there:
                raise BackingServiceError(
                    f"the database lacks {len(missing)} migrations: run `runcast migrate`"
                )
            if later := there - ours:
                say(
                    f"warning: the schema is of a later version of Runcast ({max(later)}): "
                    "update this process, too"
                )
            if await unfinished_restore.is_marked(connection):
                raise BackingServiceError(unfinished_restore.ADVICE)
            if await conversion.is_waiting(connection):
                raise BackingServiceError(
                    "events of version 0.1 are still to be converted: run `runcast migrate`"
                )

    await _until(f"Postgres at {postgres_hosts.place(url)}", probe, seconds, say)


async def wait_for_logins(
    urls: db.Urls, seconds: float, say: Say, setting: str = "RUNCAST_DATABASE_URL"
) -> None:
    """Return when every login takes connections to the database of `urls.log`, which `setting` names.

    A standby that is away isn't waited for: it is done without. Raises `OtherDatabase` at once where a URL
    names another database.
    """
    ours = await _until(_named(setting, urls.log), partial(_identity, urls.log), seconds, say)
    compare = partial(_compare, setting, ours)
    for name, url in (("REQUESTS", urls.requests), ("ACCOUNTS", urls.accounts)):
        if url is None or url == urls.log:
            continue
        own = f"RUNCAST_DATABASE_{name}_URL"
        compare(own, url, await _until(_named(own, url), partial(_identity, url), seconds, say))
    if urls.read is not None:
        with contextlib.suppress(BackingServiceError):
            url = postgres_hosts.with_login(urls.read, urls.log)
            compare("RUNCAST_DATABASE_READ_URL", url, await _identity(url))


def _named(setting: str, url: str) -> str:
    return f"Postgres at {postgres_hosts.place(url)} ({setting})"


async def _identity(url: str) -> tuple[str, int]:
    """A database's name and number, the same on all hosts of a server. Raises `BackingServiceError`."""
    async with _connected(url) as connection:
        if connection is None:
            raise BackingServiceError("there is no such database")
        [found] = await connection.fetch(_IDENTITY)
        return str(found[0]), int(found[1])


def _compare(
    first: str, ours: tuple[str, int], setting: str, url: str, other: tuple[str, int]
) -> None:
    if ours != other:
        raise OtherDatabase(
            f"{setting} names the database {other[0]} at {postgres_hosts.place(url)}, which is another one "
            f"than that of {first}, {ours[0]}"
        )


async def wait_for_redis(url: str, seconds: float, say: Say) -> None:
    """Return when Redis answers a command, having said what would hurt with it.

    Raises `WrongServer` at once where it's another kind of server than the URL says.
    """

    async def probe() -> None:
        bus = Bus(url)
        try:
            await bus.check_kind()
            await bus.ping()
            for warning in (await bus.diagnosis().warnings()).values():
                say(f"warning: {warning}")
        except WrongServer as error:
            raise WrongServer(f"what is at {where} is {error}") from error
        except redis.AuthenticationError as error:
            raise BackingServiceError(f"{outages.line_of(error)} {_LOGIN}") from error
        except outages.REDIS as error:
            line = outages.line_of(error)
            asks = line.startswith(("NOAUTH", "HELLO must be called", "Authentication required"))
            raise BackingServiceError(
                f"it asks for a password {_LOGIN}" if asks else line
            ) from error
        finally:
            await bus.close()

    where = redis_url.parse(url).place
    await _until(f"Redis at {where}", probe, seconds, say)


async def _until(what: str, probe: Callable[[], Awaitable[T]], seconds: float, say: Say) -> T:
    clock = asyncio.get_running_loop().time
    started, said = clock(), 0.0
    while True:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                return await probe()
        except (BackingServiceError, TimeoutError) as error:
            left = started + seconds - clock()
            if left <= 0:
                raise BackingServiceError(
                    f"{what} can't be used, after {seconds:g} s of waiting: {outages.line_of(error)}"
                ) from error
            if not said or clock() - said >= SAY_EVERY_SECONDS:
                say(f"waiting for {what}: {outages.line_of(error)}; giving up in {left:.0f} s")
                said = clock()
        await asyncio.sleep(min(RETRY_SECONDS, left))


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection | None]:
    """A connection, or None where the server is there and the database isn't."""
    try:
        connection = await postgres_hosts.connect(
            url, seconds=CONNECT_SECONDS, command_timeout=CONNECT_SECONDS
        )
    except asyncpg.InvalidCatalogNameError:
        yield None
        return
    except _UNUSABLE as error:
        raise BackingServiceError(outages.line_of(error)) from error
    try:
        yield connection
        await connection.close(timeout=CONNECT_SECONDS)
    except _UNUSABLE as error:  # It went away again while it was asked.
        raise BackingServiceError(outages.line_of(error)) from error
    finally:
        connection.terminate()


async def _applied(connection: asyncpg.Connection) -> set[str]:
    """The versions of the migrations that the database has."""
    try:
        rows = await connection.fetch("SELECT version FROM schema_migrations")
    except asyncpg.UndefinedTableError:
        rows = []
    return {row["version"] for row in rows}
