"""One server process: its listener, its services, and an orderly end.

The end begins with the signal, not with uvicorn's shutdown, which would come only after open streams
were cut off. At SIGTERM or Ctrl-C the listener closes, so that clients and gateways turn to other
processes; the services drain, which ends streams in their own words; requests in flight finish;
background work stops; connections close. A second signal cuts all that short.
"""

import asyncio
import contextlib
import gc
import logging
import pkgutil
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import entry_points
from typing import Any

import structlog
import uvicorn

from runcast_server import loops
from runcast_server.auth import tokens
from runcast_server.db import accounts_size, open_database
from runcast_server.errors import ExplainedError
from runcast_server.eventlog.bus import Bus
from runcast_server.eventlog.log import EventLog
from runcast_server.eventlog.publisher import Publisher
from runcast_server.process.http_protocol import Protocol
from runcast_server.process.root_app import Front
from runcast_server.process.vitals import Vitals
from runcast_server.service import Build, Resources, Service
from runcast_server.settings import ProcessSettings, ServerSettings, TracingSettings
from runcast_server.tracing.spans import Tracer

SERVICES = ("hub", "api", "tailer")
GROUP = "runcast.services"
BACKLOG = 4096
# What the kernel may hold for one connection: without it, 4 MB of events for each stalled client.
SEND_BUFFER_BYTES = 128 * 1024
# For how many heartbeats a peer may leave bytes unacknowledged or take none, and for how many seconds at
# least: one that stalled or vanished is then gone, with its stream's lease and what the kernel held for it.
# The accepted sockets inherit it.
SILENT_HEARTBEATS = 3
SILENT_SECONDS = 10.0
# Longer than gateways keep idle connections to us (Caddy: 2 min), so that they end them, not we.
KEEP_ALIVE_SECONDS = 150
SAME_SIGNAL_SECONDS = 0.5
SWITCH_SECONDS = 0.0005
"""For how long a thread may keep the interpreter's lock from the event loop (Python's own: 5 ms). The loop
takes the lock after each wait, several times in a request: behind one thread that computes, a request waited
several times 5 ms."""
COLLECT_AFTER = 20_000
"""New objects after which the youngest are looked through for garbage (Python's own: 700)."""

log = structlog.get_logger(__name__)


class StartError(ExplainedError):
    """The process can't start. The message says why, and what to do."""


def listen(settings: ProcessSettings, *, heartbeat_seconds: float = 30.0) -> socket.socket:
    """A listening socket on the settings' address. Raises StartError where it's taken."""
    listener = bind(settings.host, settings.port, heartbeat_seconds=heartbeat_seconds)
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _taken(settings.host, settings.port, error) from error
    return listener


def listen_for(settings: ServerSettings) -> socket.socket:
    """The listening socket of a process with these settings. Raises StartError."""
    return listen(settings.process, heartbeat_seconds=settings.hub.sse_heartbeat_interval_s)


def bind_for(settings: ServerSettings, port: int, *, shared: bool = False) -> socket.socket:
    """The same, bound only; `shared` with other sockets of ours on this port. Raises StartError."""
    heartbeat_seconds = settings.hub.sse_heartbeat_interval_s
    return bind(settings.process.host, port, heartbeat_seconds=heartbeat_seconds, shared=shared)


def bind(host: str, port: int, *, heartbeat_seconds: float, shared: bool = False) -> socket.socket:
    """A socket bound to the address, with what its connections inherit. Raises StartError."""
    silent_seconds = max(SILENT_SECONDS, SILENT_HEARTBEATS * heartbeat_seconds)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartError(f"can't listen on {host}: {error.strerror}") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        silent_ms = int(silent_seconds * 1000)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, silent_ms)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _taken(host, port, error) from error
    listener.setblocking(False)
    return listener


def _taken(host: str, port: int, error: OSError) -> StartError:
    return StartError(
        f"can't listen on {host}, port {port}: {error.strerror}. "
        "Choose another port with --port or RUNCAST_PORT (0 takes any that is free)."
    )


def url_of(settings: ProcessSettings, listener: socket.socket) -> str:
    """Where a person on this machine finds what the listener serves."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def builders(names: Sequence[str]) -> list[Build]:
    """The services of these names, in their order. Raises StartError where one isn't installed."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    if missing := [name for name in names if name not in found]:
        raise StartError(f"not installed: {', '.join(missing)}: pip install 'runcast[server]'")
    return [found[name].load() for name in names]


def _tracer(settings: TracingSettings, name: str) -> Tracer | None:
    """What makes traces where they are set. OpenTelemetry is loaded only then. Raises StartError."""
    if settings.traces_url is None:
        return None
    try:
        make = pkgutil.resolve_name("runcast_server.tracing.otel:OtelTracer")
    except ImportError as error:
        raise StartError(
            f"RUNCAST_TRACES_URL needs OpenTelemetry: pip install 'runcast[tracing]' ({error})"
        ) from error
    made: Tracer = make(settings, name)
    return made


@contextlib.asynccontextmanager
async def opened(settings: ServerSettings, name: str = "runcast") -> AsyncIterator[Resources]:
    """The backing services' clients, for as long as the process serves. `name` is its own in traces."""
    if settings.postgres.database_url is None or settings.redis.redis_url is None:
        raise StartError("RUNCAST_DATABASE_URL and RUNCAST_REDIS_URL must be set")
    tracer = _tracer(settings.tracing, name)
    size = settings.postgres.database_pool_size
    database = await open_database(
        settings.postgres.urls,
        requests=size,
        log=size,
        accounts=accounts_size(size),
    )
    bus = Bus(settings.redis.redis_url)
    publisher = Publisher(bus, database.log, tracer)
    eventlog = EventLog(database.log, publisher, tracer)
    try:
        yield Resources(settings, database, bus, eventlog, tracer)
    finally:
        await eventlog.close()
        await publisher.close()
        if tracer is not None:
            await tracer.close()
        await bus.close()
        await database.close()


async def serve(
    resources: Resources,
    build: Sequence[Build],
    listener: socket.socket,
    stop: asyncio.Event,
    started: Callable[[], None],
) -> None:
    """Run the services until `stop` is set. `started` is called when requests are taken."""
    raise_open_files()
    _collect_seldom()
    sys.setswitchinterval(SWITCH_SECONDS)
    settings = resources.settings.process
    services = [make(resources) for make in build]
    authenticator = tokens.authenticator(resources.database, resources.settings.auth)
    front = Front(services, settings, authenticator, resources.tracer)
    server = _Server(server_config(front, settings), started)
    vitals = Vitals(resources.database, front.readiness)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(vitals.measured())
        for service in services:
            await stack.enter_async_context(service.running())
        serving = await stack.enter_async_context(_serving(server, listener))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((serving, stopping), return_when="FIRST_COMPLETED")
        stopping.cancel()
        front.stopping = True
        server.finish()
        await _drain(services, settings.shutdown_grace_s / 2)


@contextlib.contextmanager
def stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` at SIGTERM, Ctrl-C or a closed terminal; a second one, in earnest, cancels the current task.

    Some who start us (`timeout`, a shell that ends its process group) send the same signal twice at
    once: that is one.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    signals = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` means it.
        signals.append(signal.SIGHUP)
    first_at: list[float] = []

    def received() -> None:
        stop.set()
        first_at.append(loop.time())
        if loop.time() - first_at[0] > SAME_SIGNAL_SECONDS and task is not None:
            task.cancel()

    for number in signals:
        loop.add_signal_handler(number, received)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work, or give it up when `stop` is set first; whether it was done."""
    task, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, stopping), return_when="FIRST_COMPLETED")
    finally:
        stopping.cancel()
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return not task.cancelled()


def raise_open_files() -> None:
    """Let the process hold as many connections as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, 1 << 20)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _collect_seldom() -> None:
    """Leaves what was imported out of garbage collection, and collects less often: ten thousand streams
    are a million objects that stay, and going through them again and again cost a storm of resumes a
    third of its processor time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


class _Server(uvicorn.Server):
    """Leaves signals to the process, and says when it takes requests."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._say_started = started
        self._told = asyncio.Event()

    def finish(self) -> None:
        """Ends the server in order."""
        self.should_exit = True
        self._told.set()

    async def main_loop(self) -> None:
        """uvicorn looks ten times a second whether it should end. Here it is told, and wakes for nothing but
        the second that stands in `Date`."""
        every_tenth = 0
        while not await self.on_tick(every_tenth):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(loops.next_beat(1.0)):
                    await self._told.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._say_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def _serving(server: _Server, listener: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """The server's task; it ends with the block: in order, or at once when the block failed."""
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield task
    except BaseException:
        server.force_exit = True
        raise
    finally:
        server.finish()
        await task


def server_config(front: Front, settings: ProcessSettings) -> uvicorn.Config:
    """How uvicorn serves the application."""
    # At lower levels it writes a line for each request that anybody malforms.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    return uvicorn.Config(
        front,
        loop="none",
        http=Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_grace_s * 0.75)),
        # Anybody may send X-Forwarded-For: only what a named proxy says of its clients is believed.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
    )


async def _drain(services: Sequence[Service], seconds: float) -> None:
    """Ask all services at once; one that fails or is late doesn't keep the others from ending."""
    drains = {asyncio.ensure_future(one.drain(seconds)): one.name for one in services}
    done, late = await asyncio.wait(drains, timeout=seconds + 0.5)
    for task in late:
        task.cancel()
        log.warning("drain.late", service=drains[task], seconds=seconds)
    for task in done:
        if task.exception() is not None:
            log.error("drain.failed", service=drains[task], exc_info=task.exception())
