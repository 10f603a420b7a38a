"""The life of a worker process: what `worker` begins, and its side of the talk with the supervisor."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence

import structlog
import uvloop

from runcast_server import settings as all_settings
from runcast_server import tasks
from runcast_server.errors import ExplainedError
from runcast_server.process import environment, logging_setup, process, single_service
from runcast_server.service import Build
from runcast_server.settings import ServerSettings

BEAT_SECONDS = 2.0
STDIN, STDOUT = 0, 1


def work(worker: str, names: Sequence[str], listener: socket.socket) -> None:
    """Serve until the supervisor closes our standard input, or a signal."""
    read = all_settings.read()
    logging_setup.configure(read.process.log_level, read.process.log_format)
    structlog.contextvars.bind_contextvars(worker=worker)
    try:
        build = process.builders(names)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_work(read, names, build, listener))
    except Exception as error:
        said = str(error) if isinstance(error, ExplainedError) else environment.explained(error)
        if said is None:
            raise
        sys.stderr.write(f"runcast: worker {worker}: {said}\n")
        sys.exit(1)


async def _work(
    settings: ServerSettings, names: Sequence[str], build: Sequence[Build], listener: socket.socket
) -> None:
    stop = asyncio.Event()
    with process.stopped_by_signals(stop):
        async with _supervised(stop) as started:
            await single_service.serve(names, settings, build, listener, stop, started, _tell)


@contextlib.asynccontextmanager
async def _supervised(stop: asyncio.Event) -> AsyncIterator[Callable[[], None]]:
    """Sets `stop` when the supervisor asks for it or is gone; yields what tells it that we are ready, and
    that the event loop goes round from then on."""
    loop = asyncio.get_running_loop()
    beating: list[asyncio.Task[None]] = []

    def heard() -> None:
        if not os.read(STDIN, 1):
            loop.remove_reader(STDIN)
            stop.set()

    async def beat() -> None:
        while True:
            if not _said("alive"):
                return
            await asyncio.sleep(BEAT_SECONDS)

    def started() -> None:
        if _said("ready"):
            beating.append(asyncio.create_task(beat()))

    loop.add_reader(STDIN, heard)
    try:
        yield started
    finally:
        await tasks.end(*beating)
        loop.remove_reader(STDIN)


def _said(word: str) -> bool:
    """Tells the supervisor; whether it is there."""
    try:
        os.write(STDOUT, f"{word}\n".encode())
    except BrokenPipeError:
        return False
    return True


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
