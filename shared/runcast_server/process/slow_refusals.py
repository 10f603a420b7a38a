"""Refusals cost their sender time: who is refused very often gets the next refusals late.

To refuse a request is cheap, but a client that sends its next request with each answer takes every turn of
the event loop with a few connections, and all others wait meanwhile. So each address, or caller that is
known, has a number of refusals a second; what goes beyond is answered later, at that pace (a leaky bucket, as
the generic cell rate algorithm of ITU-T I.371 counts it). Nothing that succeeds is ever held back, so that
people who share an address with an attacker notice nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.types import Scope

from runcast_server import networks

SCOPE = "runcast.slow_refusals"
"""Where in the scope the process's front puts its `SlowRefusals`."""
PER_SECOND = 200
"""Refusals that one address or caller gets at once in each second."""
MOST_SECONDS = 2.0
"""How late a refusal comes at most: a process that stops waits for it."""
NAMES = 10_000
"""Addresses and callers that are remembered."""
ORDINARY = frozenset({409, 412})
"""Refusals by which clients that work well agree among themselves."""


class SlowRefusals:
    """Counts refusals by name and says how long the next one of a name is held back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[str, float] = {}
        """When the pace would have brought the last refusal of a name, if it lies ahead."""

    def delay(self, name: str) -> float:
        """Counts one refusal; for how many seconds its answer has to wait."""
        now = self._clock()
        due = max(self._due.get(name, now), now) + 1 / PER_SECOND
        if name not in self._due and len(self._due) >= NAMES:
            self._forget(now)
        self._due[name] = min(due, now + 1.0 + MOST_SECONDS)
        return max(0.0, self._due[name] - now - 1.0)

    def _forget(self, now: float) -> None:
        self._due = {name: due for name, due in self._due.items() if due > now}
        if len(self._due) >= NAMES:
            self._due.clear()


async def hold(scope: Scope, status: int, caller: str | None = None) -> None:
    """Waits until an answer with this status may go out; at once for all but refusals beyond the number."""
    if not 400 <= status < 500 or status in ORDINARY:
        return
    refusals: SlowRefusals | None = scope.get(SCOPE)
    if refusals is None:
        return
    client = scope.get("client")
    seconds = refusals.delay(caller or (networks.of(client[0]) if client else ""))
    if seconds > 0:
        await asyncio.sleep(seconds)
