"""`runcast api`, `runcast hub` and `runcast tailer`: one service in a process of its own."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence

import structlog
import uvloop

from runcast_server.process import process, wait_for
from runcast_server.service import Build
from runcast_server.settings import ServerSettings

log = structlog.get_logger(__name__)


def run(name: str, settings: ServerSettings, say: Callable[[str], None]) -> None:
    """Serve until a signal. Raises StartError or BackingServiceError with a message for a person."""
    build = process.builders([name])
    with (
        contextlib.closing(process.listen_for(settings)) as listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(name, settings, build, listener, say))


async def _serve(
    name: str,
    settings: ServerSettings,
    build: Sequence[Build],
    listener: socket.socket,
    say: Callable[[str], None],
) -> None:
    stop = asyncio.Event()

    def started() -> None:
        say(f"runcast {name} is running: {process.url_of(settings.process, listener)}")

    with process.stopped_by_signals(stop):
        if await process.unless_stopped(stop, _wait(settings, say)):
            async with process.opened(settings) as resources:
                await process.serve(resources, build, listener, stop, started)


async def _wait(settings: ServerSettings, say: Callable[[str], None]) -> None:
    database_url, redis_url = settings.postgres.database_url, settings.redis.redis_url
    if database_url is None or redis_url is None:
        raise process.StartError("RUNCAST_DATABASE_URL and RUNCAST_REDIS_URL must be set")
    seconds = settings.process.start_wait_s
    await wait_for.wait_for_schema(database_url, seconds, say)
    await wait_for.wait_for_redis(redis_url, seconds, say)
