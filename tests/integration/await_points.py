"""Processes that tail and ingest one run, and die by SIGKILL at a chosen await point.

An await point is where a task of ours stands while it's suspended: the lines of our packages in its chain
of awaits. A process can be told to die when a task has just been suspended at a point (what it asked for
is under way) or is about to go on (what it asked for is done, and only this process doesn't know).

Run as a program it serves commands on its standard input: it has imported everything once, and forks for
each of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Generator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from runcast_server import tasks
from runcast_tailer.file_reader import FollowLimits
from runcast_tailer.options import TailerOptions
from runcast_tailer.queries import Server
from runcast_tailer.shipper import Shipper
from runcast_tailer.supervisor import Supervisor
from tests.integration import ingesting
from tests.integration.ingesting import Ingest, until

OUR_PACKAGES = ("/runcast_server/", "/runcast_api/", "/runcast_tailer/")
LIMITS = FollowLimits(line_bytes=100, read_bytes=300)
"""Small, so that a small file takes several messages."""


@dataclass
class Points:
    """How often each point was met; at the `occurrence`th time of the `deadly` one this process dies."""

    deadly: str | None = None
    occurrence: int = 1
    met: Counter[str] = field(default_factory=Counter)

    def meet(self, when: str, coroutine: Any) -> None:
        where = " > ".join(_our_lines(coroutine))
        if not where:
            return
        point = f"{when} {where}"
        self.met[point] += 1
        if point == self.deadly and self.met[point] == self.occurrence:
            os.kill(os.getpid(), signal.SIGKILL)


def _our_lines(awaited: Any) -> Generator[str]:
    while awaited is not None:
        kind = next(
            (each for each in ("cr", "ag", "gi") if hasattr(awaited, f"{each}_frame")), None
        )
        frame = getattr(awaited, f"{kind}_frame", None)
        if frame is not None and any(each in frame.f_code.co_filename for each in OUR_PACKAGES):
            yield f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        awaited = getattr(awaited, "gi_yieldfrom" if kind == "gi" else f"{kind}_await", None)


class Watched(Coroutine[Any, Any, Any]):
    """A coroutine whose suspensions are counted."""

    def __init__(self, inner: Coroutine[Any, Any, Any], points: Points) -> None:
        self._inner = inner
        self._points = points

    def send(self, value: Any) -> Any:
        self._points.meet("resumed", self._inner)
        result = self._inner.send(value)
        self._points.meet("suspended", self._inner)
        return result

    def throw(self, kind: Any, value: Any = None, traceback: TracebackType | None = None) -> Any:
        return self._inner.throw(value if isinstance(value, BaseException) else kind)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise NotImplementedError("only tasks run it")


@dataclass(frozen=True)
class Command:
    """What one process is to do: work on a directory of runs until one of them is over, or die before."""

    database_url: str
    redis_url: str
    runs_dir: str
    key: str
    deadly: str | None = None
    occurrence: int = 1


async def work(command: Command, points: Points) -> None:
    """Tails and ingests until the run of the directory is over."""
    root = Path(command.runs_dir)
    options = TailerOptions(root, (root,), "default", poll_seconds=0.01, limits=LIMITS)
    async with (
        ingesting.opened(command.database_url, command.redis_url) as ingest,
        _working(ingest, options, points),
    ):
        await until(lambda: is_over(ingest, command.key))


@contextlib.asynccontextmanager
async def _working(ingest: Ingest, options: TailerOptions, points: Points) -> AsyncIterator[None]:
    def watched(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> Any:
        return asyncio.Task(Watched(coroutine, points), loop=loop, **more)

    loop = asyncio.get_running_loop()
    loop.set_task_factory(watched)
    supervisor = Supervisor(options, Server(ingest.database.log), Shipper(ingest.bus.client))
    ingesters = ingest.ingesters()
    working = [asyncio.create_task(each.run()) for each in (supervisor, *ingesters)]
    try:
        yield
    finally:
        loop.set_task_factory(None)
        await tasks.end(*working)


async def is_over(ingest: Ingest, key: str) -> bool:
    """Whether the run's status, its artifact and all of its lines are stored."""
    rows = await ingest.rows(
        """SELECT r.status, s.closed_reason, (SELECT count(*) FROM artifacts a WHERE a.run_id = r.id)
           FROM runs r JOIN log_sources s ON s.run_id = r.id AND s.source = 'logs.txt'
           WHERE r.key = $1""",
        key,
    )
    return [tuple(row) for row in rows] == [("completed", "sentinel", 1)]


def _obey(command: Command) -> dict[str, Any]:
    """In a process of its own: how it ended (negative: the signal), and the points that it met."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        points = Points(command.deadly, command.occurrence)
        asyncio.run(work(command, points))
        os.write(writer, json.dumps(points.met).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        met = said.read()
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"ended": ended, "met": json.loads(met) if met else {}}


def main() -> None:
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_obey(Command(**json.loads(line)))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
