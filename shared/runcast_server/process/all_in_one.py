"""`runcast up`: everything on one port, with servers of its own if none are named.

It is one process, unless `--workers` asks for more: then this process keeps the servers and the workers
running, and the first of these has the tailer.
"""

import asyncio
import contextlib
import dataclasses
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog
import uvloop

from runcast_server import db, embedded, loops
from runcast_server import settings as all_settings
from runcast_server.loops import Loop
from runcast_server.process import (
    credentials,
    datadir,
    db_roles,
    migrate,
    process,
    wait_for,
    workers,
)
from runcast_server.process.workers import Crew
from runcast_server.service import Build
from runcast_server.settings import ServerSettings

# Of the 5 s within which Ctrl-C ends everything.
EMBEDDED_STOP_SECONDS = 3.0
WATCH_SECONDS = 0.5
ASK_SECONDS = 5.0
CONNECTIONS_A_WORKER = 30
SILENT_SECONDS = 120.0
"""An embedded server that takes no connections for so long is started again."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

log = structlog.get_logger(__name__)
Say = Callable[[str], None]
Server = embedded.Postgres | embedded.Valkey


@dataclass(frozen=True)
class Backing:
    """Where Postgres and Redis are, and those of them that are ours to run."""

    owner_url: str
    urls: db.Urls
    makes_logins: bool
    redis_url: str
    worker_redis_url: str
    servers: Sequence[Server]


def up(settings: ServerSettings, environ: Mapping[str, str], say: Say) -> None:
    """Serve until a signal. `say` shows a person what happens; `environ` is that of workers.

    Raises, with a message for that person, InUseError, StartError, EmbeddedError,
    BackingServiceError, MigrationError.
    """
    with (
        datadir.locked(settings.process.data),
        _listening(settings) as listeners,
        _interrupted_by_sigterm(),
        _servers(settings) as (postgres, valkey),
    ):
        here = process.SERVICES if len(listeners) == 1 else ()
        build = _start([server for server in (postgres, valkey) if server], here)
        backed_by = Backing(
            postgres.url if postgres else str(settings.postgres.database_url),
            *_logins(postgres, settings),
            valkey.url if valkey else str(settings.redis.redis_url),
            valkey.worker_url if valkey else str(settings.redis.redis_url),
            [server for server in (postgres, valkey) if server],
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, backed_by, build, listeners, environ, say))


@contextlib.contextmanager
def _listening(settings: ServerSettings) -> Iterator[Sequence[socket.socket]]:
    """The listening socket, or one for each worker. Raises StartError."""
    many = settings.process.workers > 1
    listeners = workers.listen(settings) if many else [process.listen_for(settings)]
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.close()


def _logins(postgres: embedded.Postgres | None, settings: ServerSettings) -> tuple[db.Urls, bool]:
    """The URLs by which the services log in, and whether their logins are ours to make."""
    if postgres is not None:
        return db_roles.embedded(postgres.url), True
    named = settings.postgres
    if named.service_urls is not None:
        return named.service_urls, True
    return named.urls, False


@contextlib.contextmanager
def _servers(
    settings: ServerSettings,
) -> Iterator[tuple[embedded.Postgres | None, embedded.Valkey | None]]:
    """The embedded servers that the settings leave to us; at the end they are stopped."""
    data = settings.process.data
    connections = str(max(200, CONNECTIONS_A_WORKER * (settings.process.workers + 2)))
    extra = {"max_connections": connections}
    postgres = None if settings.postgres.database_url else embedded.Postgres(data, extra)
    valkey = None if settings.redis.redis_url else embedded.Valkey(data)
    try:
        yield postgres, valkey
    finally:
        with _signals_ignored(), ThreadPoolExecutor() as threads:
            for server in (postgres, valkey):
                if server is not None:
                    threads.submit(server.stop, EMBEDDED_STOP_SECONDS)


def _start(servers: Sequence[Server], services: Sequence[str]) -> list[Build]:
    """Start the servers side by side and load the services meanwhile."""
    with ThreadPoolExecutor() as threads:
        starting = [threads.submit(server.start) for server in servers]
        build = process.builders(services)
        for started in starting:
            started.result()
    return build


async def _serve(
    settings: ServerSettings,
    backed_by: Backing,
    build: Sequence[Build],
    listeners: Sequence[socket.socket],
    environ: Mapping[str, str],
    say: Say,
) -> None:
    stop = asyncio.Event()
    with process.stopped_by_signals(stop):
        if not await process.unless_stopped(stop, _prepare(settings, backed_by, say)):
            return
        data = settings.process.data
        known = credentials.read(data)
        token = await credentials.admin_token(backed_by.owner_url, known.token if known else None)
        url = process.url_of(settings.process, listeners[0])
        link = await credentials.sign_in_link(backed_by.owner_url, url)
        written = credentials.Credentials(url, token, backed_by.worker_redis_url, os.getpid())

        def started() -> None:
            credentials.write(data, written)
            say(_welcome(settings, url, link))

        async with kept_running(backed_by.servers):
            if len(listeners) > 1:
                crew = _crew(settings, backed_by, environ)
                await workers.supervise(crew, listeners, stop, started)
            else:
                async with process.opened(_with_urls(settings, backed_by)) as resources:
                    await process.serve(resources, build, listeners[0], stop, started)


def _crew(settings: ServerSettings, backed_by: Backing, environ: Mapping[str, str]) -> Crew:
    """Workers on our servers. Files are followed by the first one: two would have to take turns."""
    given = all_settings.as_environment(
        {
            "database_url": backed_by.urls.log,
            "database_requests_url": backed_by.urls.requests,
            "database_accounts_url": backed_by.urls.accounts,
            "redis_url": backed_by.redis_url,
        }
    )
    others = [name for name in process.SERVICES if name != "tailer"]
    services = [process.SERVICES, *[others] * (settings.process.workers - 1)]
    return Crew(services, {**environ, **given}, settings.process.shutdown_grace_s)


async def _prepare(settings: ServerSettings, backed_by: Backing, say: Say) -> None:
    """Wait for servers that aren't ours, and bring the schema up to date."""
    seconds = settings.process.start_wait_s
    await wait_for.wait_for_postgres(backed_by.owner_url, seconds, say)
    if applied := await asyncio.to_thread(migrate.up, backed_by.owner_url, say):
        log.info("schema.migrated", migrations=len(applied), last=applied[-1])
    if backed_by.makes_logins:
        await db_roles.ensure(backed_by.owner_url, backed_by.urls)
    is_named = settings.postgres.database_service_url is not None
    setting = "RUNCAST_DATABASE_SERVICE_URL" if is_named else "RUNCAST_DATABASE_URL"
    await wait_for.wait_for_logins(backed_by.urls, seconds, say, setting)
    await wait_for.wait_for_redis(backed_by.redis_url, seconds, say)


class End:
    """Hears of the end of a process from the kernel, where that can be (Linux: pidfd_open(2))."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._descriptor: int | None = None

    @property
    def is_told(self) -> bool:
        """Whether its end will be told."""
        return self._descriptor is not None

    def watch(self, pid: int | None, tell: Callable[[], None]) -> None:
        """Has `tell` called when this process ends, instead of the one before."""
        if pid == self._pid:
            return
        self.forget()
        self._pid = pid
        with contextlib.suppress(OSError, AttributeError):
            if pid is not None:
                self._descriptor = os.pidfd_open(pid)
                loop = asyncio.get_running_loop()
                loop.add_reader(self._descriptor, self._ended, tell)

    def _ended(self, tell: Callable[[], None]) -> None:
        self.forget()
        tell()

    def forget(self) -> None:
        """Watches no more."""
        self._pid = None
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None


class KeptRunning:
    """Starts an embedded server again that ended unasked, whatever ended it: a full disk does, and then also
    fails the first starts.

    One that lives and takes no connections for long is ended and started again: a Postgres whose disk is full
    while it recovers may wait for ever for one of its own processes. It is given twice as long each time, as
    a recovery that goes on would begin from its beginning.
    """

    def __init__(self, server: Server) -> None:
        self.name = type(server).__name__.lower()
        self._server = server
        self._starting: asyncio.Future[None] | None = None
        self._patience = SILENT_SECONDS
        self._answered_at = self._asked_at = time.monotonic()
        self._end = End()
        self.loop = Loop(self.name, self.look, self._seconds)

    def _seconds(self) -> float:
        """Where the kernel tells of its end, it is only asked now and then."""
        return max(ASK_SECONDS, WATCH_SECONDS) if self._end.is_told else WATCH_SECONDS

    async def look(self) -> None:
        """One look. Raises what the start raises."""
        await self._look()
        self._end.watch(self._server.pid, self.loop.soon)

    async def _look(self) -> None:
        if self._server.alive():
            await self._ask()
        if not self._server.alive():
            log.error("embedded.ended", server=self.name)
            self._starting = asyncio.ensure_future(asyncio.to_thread(self._server.start))
            await asyncio.shield(self._starting)
            self._answered_at = time.monotonic()

    async def _ask(self) -> None:
        """Now and then, whether it takes connections; ends it where it didn't for too long."""
        if time.monotonic() - self._asked_at < ASK_SECONDS:
            return
        answers = await asyncio.to_thread(self._server.answers)
        self._asked_at = time.monotonic()
        if answers:
            self._answered_at, self._patience = self._asked_at, SILENT_SECONDS
        elif self._asked_at - self._answered_at > self._patience:
            log.error("embedded.silent", server=self.name, seconds=self._patience)
            self._patience *= 2
            await asyncio.to_thread(self._server.stop, EMBEDDED_STOP_SECONDS)

    async def settle(self) -> None:
        """Waits for a start that is under way, so that the server can be stopped."""
        self._end.forget()
        if self._starting is not None:
            await asyncio.wait((self._starting,))


@contextlib.asynccontextmanager
async def kept_running(servers: Sequence[Server]) -> AsyncIterator[None]:
    """Keeps the servers running for as long as the block lasts."""
    watched = [KeptRunning(server) for server in servers]
    try:
        async with loops.running([one.loop for one in watched]):
            yield
    finally:
        for one in watched:
            await one.settle()


def _welcome(settings: ServerSettings, url: str, link: str) -> str:
    return (
        f"Runcast is running: {url}/ui/\n"
        f"  sign in  {link}  (once, within a day)\n"
        f"  data     {settings.process.data}\n"
        f"  runs     {settings.tailer.runs_dir}\n"
        "Ctrl-C stops it."
    )


def _with_urls(settings: ServerSettings, backed_by: Backing) -> ServerSettings:
    return dataclasses.replace(
        settings,
        postgres=settings.postgres.model_copy(
            update={
                "database_url": backed_by.urls.log,
                "database_requests_url": backed_by.urls.requests,
                "database_accounts_url": backed_by.urls.accounts,
            }
        ),
        redis=settings.redis.model_copy(update={"redis_url": backed_by.redis_url}),
    )


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Before the event loop watches signals, SIGTERM unwinds like Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        log.info("start.interrupted")
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _signals_ignored() -> Iterator[None]:
    """While the embedded servers stop: they have their time, and no more, in any case."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
