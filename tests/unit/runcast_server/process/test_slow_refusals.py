"""Who is refused very often gets further refusals late; no one else notices."""

from __future__ import annotations

import pytest

from runcast_server.process import slow_refusals
from runcast_server.process.slow_refusals import MOST_SECONDS, PER_SECOND, SlowRefusals, hold

pytestmark = pytest.mark.anyio


class Clock:
    """Stands until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_refusals_beyond_the_number_come_at_its_pace() -> None:
    clock = Clock()
    refusals = SlowRefusals(clock)
    assert [refusals.delay("a") for _ in range(PER_SECOND)] == [0.0] * PER_SECOND
    late = [refusals.delay("a") for _ in range(PER_SECOND)]
    assert late == sorted(late)
    assert late[0] > 0
    assert late[-1] == pytest.approx(1.0)
    assert refusals.delay("b") == 0.0
    clock.now += 2.0
    assert refusals.delay("a") == 0.0


def test_nobody_waits_longer_than_a_stopping_process_would() -> None:
    refusals = SlowRefusals(Clock())
    assert max(refusals.delay("a") for _ in range(10 * PER_SECOND)) == pytest.approx(MOST_SECONDS)


def test_many_addresses_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_refusals, "NAMES", 10)
    clock = Clock()
    refusals = SlowRefusals(clock)
    for number in range(100):
        refusals.delay(str(number))
        clock.now += 0.001
    assert len(refusals._due) <= 10


async def test_only_refusals_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(slow_refusals.asyncio, "sleep", sleep)
    scope = {slow_refusals.SCOPE: SlowRefusals(Clock()), "client": ("1.1.1.1", 1)}
    for status in (200, 204, 304, 409, 412, 500, 503):
        for _ in range(PER_SECOND * 2):
            await hold(scope, status)
    assert slept == []
    for _ in range(PER_SECOND + 5):
        await hold(scope, 401)
    assert len(slept) == 5
    await hold(scope, 401, "user:another")
    await hold({**scope, "client": ("2.2.2.2", 1)}, 401)
    assert len(slept) == 5
