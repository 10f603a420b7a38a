"""One look for everything that may be due: so that each kind of work costs nothing while there is none.

Work that waits for a time (a lease that ends, a question that expires) is looked for twice a second in one
statement, and only the loops that have something to do take their turn. Each goes on by itself now and then,
so that it depends on nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from runcast_server import outages
from runcast_server.db import Pool, acquire
from runcast_server.loops import Items, Loop

LOOK_SECONDS = 0.5
ANYWAY_SECONDS = 10.0
"""How often such a loop takes a turn that nothing asked for."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Timed:
    """A loop whose step has something to do if `due`, a query, finds a row."""

    due: str
    loop: Loop


@dataclass(eq=False)
class DueWork:
    """Looks, and lets the loops that are due take their turn."""

    pool: Pool
    timed: tuple[Timed, ...]

    @classmethod
    def of(cls, pool: Pool, *works: Iterable[Timed]) -> DueWork:
        found = tuple(timed for work in works for timed in work)
        for timed in found:
            # A step that failed is late already: it waits no longer than for the next look.
            timed.loop.retry_seconds = LOOK_SECONDS
        return cls(pool, found)

    def loops(self) -> list[Loop]:
        """The look, and what it looks for, as loops."""
        return [Loop("due work", self.look, LOOK_SECONDS), *(timed.loop for timed in self.timed)]

    async def look(self) -> None:
        """One look. Where it fails, each kind is looked for by itself: one locked table delays its own."""
        try:
            return await self._look(self.timed)
        except outages.ANY as error:
            log.warning("due_work.one_by_one", error=outages.line_of(error))
        kinds = Items("due work")
        for timed in self.timed:
            with kinds.one(loop=timed.loop.name):
                await self._look((timed,))

    async def _look(self, wanted: tuple[Timed, ...]) -> None:
        questions = ", ".join(f"EXISTS ({timed.due})" for timed in wanted)
        async with acquire(self.pool) as connection:
            row = await connection.fetchrow(f"SELECT {questions}")
        assert row is not None
        for timed, is_due in zip(wanted, row, strict=True):
            if is_due:
                timed.loop.soon()
