"""The nemesis: every kind of fault equally often, in a seeded order, alone and several at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.torture import crowd_faults, odd_faults, slot_faults
from tests.torture.faults import EXPECTED, FAULTS, Stage

KINDS = {**FAULTS, **odd_faults.FAULTS, **crowd_faults.FAULTS, **slot_faults.FAULTS}
"""All kinds, by their names."""

AT_ONCE = 4
LONGER = 1.5
"""By so much a run may be longer than asked for, until every kind came often enough."""


@dataclass(frozen=True)
class Injected:
    """One fault that bit: when, for how long, and by what it is known."""

    kind: str
    at: float
    seconds: float
    evidence: str


@dataclass
class Nemesis:
    """Injects faults from `KINDS` until time is up; every one it started is healed when `run` returns."""

    stage: Stage
    chance: random.Random
    say: Callable[[str], None]
    kinds: Sequence[str] = tuple(KINDS)
    injected: list[Injected] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    _began: float = 0.0

    def possible(self) -> list[str]:
        """The kinds that there is something for: without a tailer none can be killed."""
        absent = {"tailer killed", "tailer stopped"} if not self.stage.cluster.tailers else set()
        absent |= set() if self.stage.files else {"disk full"}
        other = "redis " if self.stage.cluster.slots else "slots "
        absent |= {kind for kind in KINDS if kind.startswith(other)}
        return [kind for kind in KINDS if kind not in absent]

    def spans(self) -> list[tuple[float, float]]:
        """When each fault began and ended, by the monotonic clock."""
        began = self._began
        return [(began + each.at, began + each.at + each.seconds) for each in self.injected]

    def counts(self) -> Counter[str]:
        return Counter(each.kind for each in self.injected)

    async def run(
        self, seconds: float, pause: tuple[float, float], at_least: int, at_most: int | None
    ) -> None:
        """For so many seconds, and somewhat longer until every kind was injected `at_least` times; no
        longer than until every kind was `at_most` times.

        Between the beginnings of two faults lies a random `pause`.
        """
        self._began = time.monotonic()
        if not self.kinds:
            await asyncio.sleep(seconds)
            return
        running: set[asyncio.Task[None]] = set()
        order = self._order()
        try:
            while (passed := time.monotonic() - self._began) < seconds * LONGER:
                least = min(self.counts()[kind] for kind in self.kinds)
                if least == at_most or (passed > seconds and least >= at_least):
                    break
                running.add(asyncio.create_task(self._inject(next(order))))
                await asyncio.sleep(self.chance.uniform(*pause))
                while len(running) >= AT_ONCE:
                    _, running = await asyncio.wait(running, return_when="FIRST_COMPLETED")
                running = {task for task in running if not task.done()}
        finally:
            for started in (running, self.stage.recovering):
                if started:
                    await asyncio.wait(set(started))

    def _order(self) -> Iterator[str]:
        """Rounds of all kinds, each shuffled; those that failed come again first."""
        while True:
            least = min(self.counts()[kind] for kind in self.kinds)
            rare = [kind for kind in self.kinds if self.counts()[kind] == least]
            self.chance.shuffle(rare)
            yield from rare

    async def _inject(self, kind: str) -> None:
        began = time.monotonic()
        try:
            evidence = await KINDS[kind](self.stage)
        except EXPECTED as error:
            self.failed[kind] += 1
            self.say(f"{began - self._began:7.1f} s  {kind}: didn't bite: {error!r}")
            return
        seconds = time.monotonic() - began
        self.injected.append(Injected(kind, began - self._began, seconds, evidence))
        self.say(f"{began - self._began:7.1f} s  {kind}: {evidence}")
