"""A bound on things done at once, with turns that go around: a busy project keeps no other one waiting.

One queue for all, first come first served, made a reader of a quiet project wait for the hundreds of reads
that a busy one had asked for before it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable


class FairTurns:
    """Lets `at_once` blocks run. Those that wait are served name by name in turn, each name's in order."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    @contextlib.asynccontextmanager
    async def of(self, name: Hashable, within: float | None = None) -> AsyncIterator[None]:
        """Waits for a turn of `name`, and holds it for the block. Raises `TimeoutError` where none came
        within this many seconds."""
        if self._free > 0:
            self._free -= 1
        else:
            async with asyncio.timeout(within):
                await self._wait(name)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, name: Hashable) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Gives a turn that has become free to the name that has waited longest since its last one."""
        while self._waiting:
            name, turns = self._waiting.popitem(last=False)
            while turns and turns[0].done():
                turns.popleft()
            if not turns:
                continue
            turns.popleft().set_result(None)
            if turns:
                self._waiting[name] = turns
            return
        self._free += 1
