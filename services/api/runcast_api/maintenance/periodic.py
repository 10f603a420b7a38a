"""Background loops that can't die or hang unnoticed: what `/ready` knows of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from runcast_server import tasks
from runcast_server.service import Readiness

log = structlog.get_logger()

HUNG_FACTOR = 3


@dataclass(eq=False)
class Loop:
    """Calls `step` again and again, `every_seconds` apart, with at most `limit_seconds` for each.

    A step that fails is logged and tried again: this is the outermost place of its task.
    """

    name: str
    step: Callable[[], Awaitable[None]]
    every_seconds: float
    limit_seconds: float = 60.0
    trouble: str | None = None
    task: asyncio.Task[None] | None = None
    beat: float = field(default_factory=time.monotonic)

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                async with asyncio.timeout(self.limit_seconds):
                    await self.step()
                self.trouble = None
            except Exception as error:
                self.trouble = str(error) or type(error).__name__
                log.warning("loop.failed", loop=self.name, error=repr(error))
            self.beat = time.monotonic()
            await asyncio.sleep(self.every_seconds)

    def readiness(self) -> Readiness:
        """Dead or hung fails; a step that didn't work this time only degrades."""
        if self.task is None or self.task.done():
            return Readiness(failing={self.name: "not running"})
        silent = time.monotonic() - self.beat
        if silent > HUNG_FACTOR * (self.every_seconds + self.limit_seconds):
            return Readiness(failing={self.name: f"no sign of life for {silent:.0f} s"})
        return Readiness(degraded={self.name: self.trouble} if self.trouble else {})


@contextlib.asynccontextmanager
async def running(loops: list[Loop]) -> AsyncIterator[None]:
    """Runs the loops for as long as the block lasts."""
    for loop in loops:
        loop.task = asyncio.create_task(loop.run(), name=loop.name)
    try:
        yield
    finally:
        await tasks.end(*[loop.task for loop in loops if loop.task is not None])
