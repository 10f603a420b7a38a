"""Work for receivers: one task at most for each, so one that hangs holds up its own work alone; and turns for
trying one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from dataclasses import dataclass, field

import structlog

from runcast_server import outages, tasks
from runcast_server.errors import LimitReached
from runcast_server.fair_turns import FairTurns
from runcast_server.loops import item

TRIALS = 16
REMEMBERED = 10_000
"""Who asked for tests lately, at most."""
TURN_SECONDS = 5.0
"""How long a trial waits for its turn."""

log = structlog.get_logger(__name__)

Work = Callable[[], Awaitable[bool]]
"""Does some of the work, and says whether there may be more."""


@dataclass(eq=False)
class Jobs:
    """Tasks by whom they work for. `kind` names them in the log."""

    kind: str
    running: dict[Hashable, asyncio.Task[None]] = field(default_factory=dict)
    is_stopped: bool = False

    def begin(self, key: Hashable, work: Work) -> None:
        """Does all the work for `key`, unless that is being done already, or all was stopped. Doesn't wait
        for it."""
        if not self.is_stopped and key not in self.running:
            self.running[key] = asyncio.create_task(self._do(key, work))

    async def _do(self, key: Hashable, work: Work) -> None:
        try:
            with item(self.kind, key=str(key)):
                while await work():
                    pass
        except Exception as error:
            # The database is away; the next look finds what is left.
            log.warning(f"{self.kind}.waits", key=str(key), error=outages.named(error))
        finally:
            del self.running[key]

    async def stop(self) -> None:
        """Ends what is being done, and begins nothing more; it is found again after the next start."""
        self.is_stopped = True
        await tasks.end(*self.running.values())


@dataclass(eq=False)
class Trials:
    """Tests of receivers, of which some run at a time; who asks for them takes turns with others.
    `per_minute`: how many one may ask for, in this process; None for no such limit."""

    _turns: FairTurns = field(default_factory=lambda: FairTurns(TRIALS))
    per_minute: int | None = None
    _recent: dict[Hashable, deque[float]] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def of(self, payer: Hashable) -> AsyncIterator[None]:
        """Raises `LimitReached` where no turn came in time, or there were too many."""
        self._count(payer)
        async with contextlib.AsyncExitStack() as turn:
            try:
                await turn.enter_async_context(self._turns.of(payer, TURN_SECONDS))
            except TimeoutError:
                raise LimitReached(
                    "too many receivers are being tested", retry_after_seconds=20
                ) from None
            yield

    def _count(self, payer: Hashable) -> None:
        if self.per_minute is None:
            return
        if len(self._recent) >= REMEMBERED:
            self._recent.clear()
        now = time.monotonic()
        recent = self._recent.setdefault(payer, deque(maxlen=self.per_minute))
        if len(recent) == self.per_minute and recent[0] > now - 60:
            seconds = max(1, round(recent[0] + 60 - now))
            raise LimitReached(
                f"at most {self.per_minute} tests a minute", retry_after_seconds=seconds
            )
        recent.append(now)
