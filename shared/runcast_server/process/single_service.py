"""`runcast api`, `runcast hub` and `runcast tailer`: one service in a process of its own, or in several."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping, Sequence

import structlog
import uvloop

from runcast_server.process import process, wait_for, workers
from runcast_server.process.workers import Crew
from runcast_server.service import Build
from runcast_server.settings import ServerSettings

log = structlog.get_logger(__name__)

Say = Callable[[str], None]


def run(name: str, settings: ServerSettings, environ: Mapping[str, str], say: Say) -> None:
    """Serve until a signal. Raises StartError or BackingServiceError with a message for a person."""
    if settings.process.workers > 1 and name != "tailer":
        return _run_workers(name, settings, environ, say)
    build = process.builders([name])
    with (
        contextlib.closing(process.listen_for(settings)) as listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve_until_signal(name, settings, build, listener, say))


async def _serve_until_signal(
    name: str, settings: ServerSettings, build: Sequence[Build], listener: socket.socket, say: Say
) -> None:
    stop = asyncio.Event()
    with process.stopped_by_signals(stop):
        started = _announcement(name, settings, listener, say)
        await serve([name], settings, build, listener, stop, started, say)


async def serve(
    names: Sequence[str],
    settings: ServerSettings,
    build: Sequence[Build],
    listener: socket.socket,
    stop: asyncio.Event,
    started: Callable[[], None],
    say: Say,
) -> None:
    """Wait for the servers behind us, and run the services of these names until `stop` is set."""
    name = f"runcast-{names[0]}" if len(names) == 1 else "runcast"
    if await process.unless_stopped(stop, _wait(settings, say)):
        async with process.opened(settings, name) as resources:
            await process.serve(resources, build, listener, stop, started)


def _announcement(
    name: str, settings: ServerSettings, listener: socket.socket, say: Say
) -> Callable[[], None]:
    url = process.url_of(settings.process, listener)
    return lambda: say(f"runcast {name} is running: {url}")


async def _wait(settings: ServerSettings, say: Say) -> None:
    database_url, redis_url = settings.postgres.database_url, settings.redis.redis_url
    if database_url is None or redis_url is None:
        raise process.StartError("RUNCAST_DATABASE_URL and RUNCAST_REDIS_URL must be set")
    seconds = settings.process.start_wait_s
    await wait_for.wait_for_schema(database_url, seconds, say)
    await wait_for.wait_for_logins(settings.postgres.urls, seconds, say)
    await wait_for.wait_for_redis(redis_url, seconds, say)


def _run_workers(name: str, settings: ServerSettings, environ: Mapping[str, str], say: Say) -> None:
    grace_seconds = settings.process.shutdown_grace_s
    crew = Crew([[name]] * settings.process.workers, environ, grace_seconds)
    listeners = workers.listen(settings)

    async def supervise() -> None:
        stop = asyncio.Event()
        with process.stopped_by_signals(stop):
            if await process.unless_stopped(stop, _wait(settings, say)):
                started = _announcement(name, settings, listeners[0], say)
                await workers.supervise(crew, listeners, stop, started)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(supervise())
