"""One timer for all connections: heartbeats, time-outs and expiries, to the second.

Ten thousand timers of the event loop would cost a heap operation each; here a beat costs an append to
the list of its second and one pass over it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable


class Wheel:
    """Calls functions after whole seconds. Everything happens in the event loop's thread."""

    def __init__(self) -> None:
        self._slots: dict[int, list[Callable[[], None]]] = {}
        self._now = int(time.monotonic())

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Calls `call` within a second after `seconds` have passed. It can't be taken back: `call` looks
        for itself whether it still has something to do."""
        due = max(self._now + 1, int(time.monotonic() + seconds) + 1)
        self._slots.setdefault(due, []).append(call)

    async def run(self) -> None:
        """Turns the wheel until cancelled. A loop that was stopped catches up slot by slot."""
        while True:
            await asyncio.sleep(1.0 - time.monotonic() % 1.0)
            now = int(time.monotonic())
            for second in range(self._now + 1, now + 1):
                self._now = second
                for call in self._slots.pop(second, ()):
                    call()


def jittered(seconds: float, *, least: float = 0.5) -> float:
    """A random time between `least` times `seconds` and `seconds`, so that many don't act in step."""
    return seconds * random.uniform(least, 1.0)
