"""Background loops that survive every error, and what `/ready` knows of them.

Every service runs its periodic and its endless work this way. A step that fails is logged and tried again
after a pause that grows; when the cause is gone the loop goes on by itself. Inside of a step, `item` guards
one thing of many (a room, a project, a message), so that what is wrong with it costs it alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import structlog

from runcast_server import metrics, outages, tasks
from runcast_server.service import Readiness

log = structlog.get_logger()

BEAT_SECONDS = 0.5
"""Pauses of at least so long end on a common beat, so that a process with many loops wakes up twice a second,
and not as often as it has loops."""
EARLY_SECONDS = 0.02
HUNG_FACTOR = 3
OUTAGES_IN_A_ROW = 3
BACK_OFF_SECONDS = 2.0
"""The longest pause after failures, unless a loop's own interval is longer. What a loop has promised (to end
a revoked stream within 5 s) must hold again soon after an outage."""


@dataclass(eq=False)
class Loop:
    """Calls `step` again and again, `every_seconds` apart, with at most `limit_seconds` for each.

    `every_seconds` may be a function, asked before each pause. A step without a limit (None) is one that
    normally doesn't return, such as a connection that is held. `soon` shortens a pause.
    """

    name: str
    step: Callable[[], Awaitable[None]]
    every_seconds: float | Callable[[], float]
    limit_seconds: float | None = 60.0
    retry_seconds: float | None = None
    """The first pause after a failed step. Where it is None: as `every_seconds`, but not longer than
    `BACK_OFF_SECONDS`, so that rare work goes on soon after a short outage; then twice as long each time."""
    last_error: str | None = None
    failures: int = 0
    """Failed steps since the last one that succeeded."""
    task: asyncio.Task[None] | None = None
    beat: float = field(default_factory=time.monotonic)
    _is_wanted: bool = False
    _pausing: asyncio.Future[None] | None = None
    _is_in_step: bool = False

    def soon(self) -> None:
        """Ends the present pause, or leaves out the next one. A pause after a failure is kept."""
        self._is_wanted = True
        if self._pausing is not None:
            _release(self._pausing)

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            self._is_wanted = False
            self._is_in_step, self.beat = True, time.monotonic()
            try:
                async with asyncio.timeout(self.limit_seconds):
                    await self.step()
                self.last_error, self.failures = None, 0
            except asyncio.CancelledError as error:
                # A future that someone else cancelled looks the same, and must not end the loop.
                if _is_cancelled():
                    raise
                self._failed(error)
            except Exception as error:
                if _is_cancelled():
                    raise asyncio.CancelledError from error
                self._failed(error)
            self._is_in_step, self.beat = False, time.monotonic()
            await self._pause()

    def _failed(self, error: BaseException) -> None:
        # A connection that held for hours and broke is tried again at once, not after the longest pause.
        self.failures = 1 if self._has_settled() else self.failures + 1
        metrics.LOOP_FAILURES.labels(self.name).inc()
        # `/ready` tells it to everyone: without the lines in which Postgres quotes a row.
        said = outages.line_of(error)
        if said != self.last_error:
            expected = outages.is_outage(error)
            log.warning(
                "loop.failed",
                loop=self.name,
                error=outages.named(error),
                exc_info=None if expected else error,
            )
        self.last_error = said

    async def _pause(self) -> None:
        every = self.interval_seconds
        if self.failures:
            await asyncio.sleep(self.back_off_seconds)
        elif every == 0 or self._is_wanted:
            await asyncio.sleep(0)
        else:
            await self._until(next_beat(every))

    async def _until(self, moment: float) -> None:
        """Waits until that time of the event loop, or until `soon`: one timer, and no task."""
        loop = asyncio.get_running_loop()
        self._pausing = loop.create_future()
        timer = loop.call_at(moment, _release, self._pausing)
        try:
            await self._pausing
        finally:
            timer.cancel()
            self._pausing = None

    @property
    def interval_seconds(self) -> float:
        """The pause between two steps that succeed."""
        return self.every_seconds() if callable(self.every_seconds) else self.every_seconds

    @property
    def back_off_seconds(self) -> float:
        """The pause after the last of some failures in a row."""
        every, first = self.interval_seconds, self.retry_seconds
        longest = max(every if first is None else first, BACK_OFF_SECONDS)
        first = min(every, BACK_OFF_SECONDS) if first is None else first
        return min(longest, max(first, 0.05) * 2.0 ** min(self.failures - 1, 16))

    def readiness(self) -> Readiness:
        """Dead or hung fails; a step that didn't work this time only degrades."""
        if self.task is None or self.task.done():
            return Readiness(failing={self.name: "not running"})
        if self.limit_seconds is not None:
            silent = time.monotonic() - self.beat
            pause = max(self.interval_seconds, BACK_OFF_SECONDS)
            if silent > HUNG_FACTOR * (pause + self.limit_seconds):
                return Readiness(failing={self.name: f"no sign of life for {silent:.0f} s"})
        if self.last_error is None or self._has_settled():
            return Readiness()
        return Readiness(degraded={self.name: self.last_error})

    def _has_settled(self) -> bool:
        """Whether a step without a limit has gone on for long enough to call its last failure past."""
        went_on = time.monotonic() - self.beat
        return self._is_in_step and self.limit_seconds is None and went_on > BACK_OFF_SECONDS


def next_beat(seconds: float) -> float:
    """The end of a pause, by the event loop's clock: at the last common beat of the process within the time.
    Shorter pauses than a beat keep their own time, and processes their own beat."""
    end = asyncio.get_running_loop().time() + seconds
    if seconds < BEAT_SECONDS:
        return end
    phase = os.getpid() % 100 / 100 * BEAT_SECONDS
    # Timers go off a little early at times, which must not make a beat of its own.
    return end + EARLY_SECONDS - (end + EARLY_SECONDS - phase) % BEAT_SECONDS


def _release(pausing: asyncio.Future[None]) -> None:
    if not pausing.done():
        pausing.set_result(None)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@contextlib.asynccontextmanager
async def running(loops: list[Loop]) -> AsyncIterator[None]:
    """Runs the loops for as long as the block lasts."""
    for loop in loops:
        loop.task = asyncio.create_task(loop.run(), name=loop.name)
    try:
        yield
    finally:
        await tasks.end(*[loop.task for loop in loops if loop.task is not None])


def readiness(loops: list[Loop]) -> Readiness:
    """All loops' readiness in one."""
    parts = [loop.readiness() for loop in loops]
    return Readiness(
        {name: why for part in parts for name, why in part.failing.items()},
        {name: why for part in parts for name, why in part.degraded.items()},
    )


@contextlib.contextmanager
def item(kind: str, **names: object) -> Iterator[None]:
    """Guards one item of many: whatever is wrong with it is logged with its name, and the next one goes on.

    An outage is raised further: it concerns all items alike, so the loop around them waits for its end.
    """
    try:
        yield
    except Exception as error:
        if outages.is_outage(error):
            raise
        log.error(f"{kind}.failed", **names, error=outages.named(error), exc_info=error)


def grouped(rows: Iterable[Any], by: str) -> dict[Any, list[Any]]:
    """The rows by what they have in a column: what waits for one project waits for it together, and a lock
    there is met once for all its rows."""
    found: dict[Any, list[Any]] = {}
    for row in rows:
        found.setdefault(row[by], []).append(row)
    return found


@dataclass(eq=False)
class Items:
    """Guards the items of one step, like `item`.

    An outage that an item meets alone, because a lock of its own is held, costs that item alone too.
    `OUTAGES_IN_A_ROW` speak of the storage: the last of them is raised further.
    """

    kind: str
    outages_in_a_row: int = 0

    @contextlib.contextmanager
    def one(self, **names: object) -> Iterator[None]:
        """Guards one of them."""
        try:
            with item(self.kind, **names):
                yield
        except Exception as error:
            self.outages_in_a_row += 1
            if self.outages_in_a_row >= OUTAGES_IN_A_ROW:
                raise
            log.warning(f"{self.kind}.waits", **names, error=outages.named(error))
        else:
            self.outages_in_a_row = 0
