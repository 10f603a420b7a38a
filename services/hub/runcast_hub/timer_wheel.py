"""One timer for all connections: heartbeats, time-outs and expiries, to the second.

Ten thousand timers of the event loop would cost a heap operation each; here a beat costs an append to
the list of its second and one pass over it.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Protocol

import structlog

from runcast_server import loops, outages

log = structlog.get_logger()


class Timed(Protocol):
    """Something that waits on the wheel. It is not taken off: it looks itself whether it still has
    something to do."""

    def on_time(self) -> None: ...


class Wheel:
    """Calls `on_time` after whole seconds. Everything happens in the event loop's thread."""

    def __init__(self) -> None:
        self._slots: dict[int, list[Timed]] = {}
        self._now = int(time.monotonic())

    def after(self, seconds: float, waiting: Timed) -> None:
        """Calls `waiting.on_time` within a second after `seconds` have passed."""
        due = max(self._now + 1, int(time.monotonic() + seconds) + 1)
        self._slots.setdefault(due, []).append(waiting)

    async def turn(self) -> None:
        """Waits for the next second, and calls who is due. A process that was stopped catches up slot by
        slot."""
        await asyncio.sleep(loops.next_beat(1.0) - asyncio.get_running_loop().time())
        now = int(time.monotonic())
        for second in range(self._now + 1, now + 1):
            self._now = second
            for waiting in self._slots.pop(second, ()):
                try:
                    waiting.on_time()
                except Exception as error:
                    # The outermost place of a timer: whatever it is, the others of this second go on.
                    log.error("timer.failed", error=outages.named(error), exc_info=error)


def jittered(seconds: float, *, least: float = 0.5) -> float:
    """A random time between `least` times `seconds` and `seconds`, so that many don't act in step."""
    return seconds * random.uniform(least, 1.0)
