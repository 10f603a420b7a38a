"""`--workers N`: worker processes that share one port, and the supervisor that keeps them running.

The supervisor binds a socket for each worker, all on one port (SO_REUSEPORT), and serves nothing itself.
The kernel spreads new connections over the sockets that listen, and a worker listens once it is ready. A
socket of its own for each matters: those who wait on one socket are woken last come, first served, and one
worker gets most of the streams.

A worker that dies is replaced. Its socket stops listening at once, so that new connections go to the others
meanwhile. A restart one by one (SIGHUP) is the other way round: the new worker listens on the same socket
before the old one drains, so no connection finds no one.

A worker is a program of its own, started from nothing: a restart runs what is installed now, and reads the
settings again. Supervisor and worker talk by the worker's standard input and output: the end of its input
asks it to drain and end, so workers don't outlive a supervisor that was killed; a line of its output says
that it is ready or lives.
"""

import asyncio
import contextlib
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from prometheus_client import multiprocess

from runcast_server import tasks
from runcast_server.process import process, terminal
from runcast_server.process.exposition import METRICS_DIRECTORY
from runcast_server.process.process import StartError
from runcast_server.settings import ServerSettings

SILENT_SECONDS = 60.0
"""A worker whose event loop says nothing for so long is killed, and replaced."""
PORT_WAIT_SECONDS = 2.0
"""Workers of a supervisor that was killed may hold the port for a moment."""
FAILED_SOON_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 10.0
NOT_STARTED_PAUSE_SECONDS = 1.0
END_MARGIN_SECONDS = 5.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Crew:
    """What the workers are: for each one the names of its services, and the environment of all."""

    services: Sequence[Sequence[str]]
    environ: Mapping[str, str]
    grace_seconds: float


def listen(settings: ServerSettings) -> list[socket.socket]:
    """A socket for each worker on the settings' address, bound and not listening yet. Raises StartError."""
    address = settings.process
    if address.port:
        _check_free(settings)
    bound = [process.bind_for(settings, address.port, shared=True)]
    port = bound[0].getsockname()[1]
    try:
        while len(bound) < address.workers:
            bound.append(process.bind_for(settings, port, shared=True))
    except StartError:
        for one in bound:
            one.close()
        raise
    return bound


def _check_free(settings: ServerSettings) -> None:
    """Raises StartError where the port is taken: it could be shared with another server of ours unnoticed."""
    deadline = time.monotonic() + PORT_WAIT_SECONDS
    while True:
        try:
            return process.bind_for(settings, settings.process.port).close()
        except StartError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


async def supervise(
    crew: Crew,
    listeners: Sequence[socket.socket],
    stop: asyncio.Event,
    started: Callable[[], None],
) -> None:
    """Keep the workers running until `stop` is set. `started` is called when all of them take requests.

    Raises StartError where one ends before it was ready for the first time.
    """
    with tempfile.TemporaryDirectory(prefix="runcast-metrics-") as metrics:
        places = _Names(metrics)
        positions = [
            _Position(crew, number, listener, places) for number, listener in enumerate(listeners)
        ]
        with _asked_by_hangup(stop) as renewal:
            keeping: list[asyncio.Task[None]] = []
            try:
                await _until_stopped(
                    stop, asyncio.gather(*(position.start() for position in positions))
                )
                if not stop.is_set():
                    started()
                keeping = [asyncio.create_task(position.keep()) for position in positions]
                keeping.append(asyncio.create_task(_renew(positions, renewal)))
                stopping = asyncio.create_task(stop.wait())
                await asyncio.wait((stopping, *keeping), return_when="FIRST_COMPLETED")
                stopping.cancel()
            finally:
                await tasks.end(*keeping)
                for listener in listeners:
                    listener.close()
                await _end_all(positions)


async def _until_stopped(stop: asyncio.Event, work: asyncio.Future[list[None]]) -> None:
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((work, stopping), return_when="FIRST_COMPLETED")
    finally:
        stopping.cancel()
        if not work.done():
            work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work


async def _end_all(positions: Sequence["_Position"]) -> None:
    running = [worker for position in positions for worker in position.workers]
    try:
        await asyncio.gather(*(worker.finish() for worker in running))
    except BaseException:
        for worker in running:
            worker.kill()
        raise


async def _renew(positions: Sequence["_Position"], asked: asyncio.Event) -> None:
    """Replaces one worker after the other, each time that it is asked to."""
    while True:
        await asked.wait()
        asked.clear()
        log.info("workers.restarting", number=len(positions))
        renewed = [await position.renew() for position in positions]
        log.info("workers.restarted", number=sum(renewed), of=len(positions))


@contextlib.contextmanager
def _asked_by_hangup(stop: asyncio.Event) -> Iterator[asyncio.Event]:
    """Set at SIGHUP; where that came because our terminal was closed, `stop` is set instead."""
    loop, renewal = asyncio.get_running_loop(), asyncio.Event()
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # By `nohup`.
    had_terminal = terminal.is_there() and not is_ignored

    def hung_up() -> None:
        (stop if had_terminal and not terminal.is_there() else renewal).set()

    loop.add_signal_handler(signal.SIGHUP, hung_up)
    try:
        yield renewal
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


class _Names:
    """Names of workers, used again, so that counters go on where the one before left them."""

    def __init__(self, metrics: str) -> None:
        self.metrics = metrics
        self._taken: set[int] = set()

    def take(self) -> int:
        """The lowest free one."""
        name = next(number for number in range(len(self._taken) + 1) if number not in self._taken)
        self._taken.add(name)
        return name

    def give_back(self, name: int) -> None:
        """What its worker had (open streams, memory) counts no more."""
        multiprocess.mark_process_dead(name, self.metrics)  # type: ignore[no-untyped-call]
        self._taken.discard(name)


@dataclass(eq=False)
class _Worker:
    """A worker process. `ready` is set when it takes requests, `gone` when it has ended."""

    name: int
    process: asyncio.subprocess.Process
    grace_seconds: float
    started_at: float = field(default_factory=time.monotonic)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def watch(self) -> None:
        """Hears what it says until it has ended; kills it when it says nothing for too long."""
        while True:
            try:
                line = await self._heard()
            except TimeoutError:
                log.error("worker.silent", worker=self.name, seconds=SILENT_SECONDS)
                self.kill()
                break
            except ValueError:
                continue  # Something printed more than a line can hold, which is no word of ours.
            if not line:
                break
            if line == b"ready\n":
                self.ready.set()
        await self.process.wait()
        self.gone.set()

    async def _heard(self) -> bytes:
        """Its next line. Raises `TimeoutError` where none comes once it was ready. Counted by `tasks.within`:
        while the supervisor itself was stopped, its workers spoke."""
        assert self.process.stdout is not None
        if not self.ready.is_set():
            return await self.process.stdout.readline()
        return await tasks.within(SILENT_SECONDS, self.process.stdout.readline())

    async def until_ready(self) -> bool:
        """Whether it came to take requests; else it has ended."""
        waits = [asyncio.create_task(each.wait()) for each in (self.ready, self.gone)]
        try:
            await asyncio.wait(waits, return_when="FIRST_COMPLETED")
        finally:
            for task in waits:
                task.cancel()
        return self.ready.is_set() and not self.gone.is_set()

    async def finish(self) -> None:
        """Has it drain and end; kills it when it takes longer than it may."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        if not await _set_within(self.gone, self.grace_seconds + END_MARGIN_SECONDS):
            log.error("worker.late", worker=self.name)
            self.kill()
            await self.gone.wait()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


class _Position:
    """One of the N: its socket, its worker, and for a moment that worker's successor."""

    def __init__(self, crew: Crew, number: int, listener: socket.socket, names: _Names) -> None:
        self.workers: set[_Worker] = set()
        self._crew = crew
        self._number = number
        self._listener = listener
        self._names = names
        self._current: _Worker | None = None
        self._renewal: asyncio.Future[bool] | None = None
        self._asked = asyncio.Event()
        self._failures = 0
        self._watching: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """The first worker. Raises StartError where it ends before it is ready."""
        self._current = await self._spawn()
        if not await self._current.until_ready():
            code = self._current.process.returncode
            raise StartError(f"a worker ended with exit code {code} before it was ready")

    async def keep(self) -> None:
        """Replaces a worker that died, or that `renew` asks for, until cancelled. A process that can't be
        started now, for want of memory or of processes, is tried again: the others go on meanwhile."""
        while True:
            try:
                await self._keep()
            except OSError as error:
                log.error("worker.not_started", error=str(error))
                self._answer(worked=False)
                await asyncio.sleep(NOT_STARTED_PAUSE_SECONDS)

    async def _keep(self) -> None:
        worker = self._current
        if worker is None:
            self._current = await self._spawn()
            return
        gone = asyncio.create_task(worker.gone.wait())
        asked = asyncio.create_task(self._asked.wait())
        try:
            await asyncio.wait((gone, asked), return_when="FIRST_COMPLETED")
        finally:
            gone.cancel()
            asked.cancel()
        if worker.gone.is_set():
            await self._died(worker)
        else:
            await self._replace(worker)

    async def renew(self) -> bool:
        """Puts a new worker in the place of the present one; whether that worked."""
        self._renewal = asyncio.get_running_loop().create_future()
        self._asked.set()
        return await self._renewal

    async def _died(self, worker: _Worker) -> None:
        """Lets new connections go to the others until a successor listens."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        lived = time.monotonic() - worker.started_at
        self._failures = self._failures + 1 if lived < FAILED_SOON_SECONDS else 0
        code = worker.process.returncode
        log.error("worker.died", worker=worker.name, pid=worker.process.pid, exit_code=code)
        self._current = None
        if self._failures > 1:
            await asyncio.sleep(min(LONGEST_PAUSE_SECONDS, 0.5 * 2 ** min(self._failures, 8)))
        self._answer(worked=True)  # The caller that asked for another worker gets one.

    async def _replace(self, worker: _Worker) -> None:
        successor = await self._spawn()
        if await successor.until_ready():
            self._current = successor
            await worker.finish()
            self._answer(worked=True)
        else:
            log.error("worker.not_replaced", worker=worker.name)
            self._answer(worked=False)

    def _answer(self, *, worked: bool) -> None:
        self._asked.clear()
        if self._renewal is not None and not self._renewal.done():
            self._renewal.set_result(worked)

    async def _spawn(self) -> _Worker:
        name, descriptor = self._names.take(), self._listener.fileno()
        try:
            started = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-m",
                    "runcast_server.process.worker",
                    str(name),
                    str(descriptor),
                ),
                *self._crew.services[self._number],
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**self._crew.environ, METRICS_DIRECTORY: self._names.metrics},
                pass_fds=(descriptor,),
            )
        except BaseException:
            self._names.give_back(name)
            raise
        worker = _Worker(name, started, self._crew.grace_seconds)
        self.workers.add(worker)
        task = asyncio.create_task(self._watch(worker))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        return worker

    async def _watch(self, worker: _Worker) -> None:
        try:
            await worker.watch()
        finally:
            self.workers.discard(worker)
            self._names.give_back(worker.name)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
