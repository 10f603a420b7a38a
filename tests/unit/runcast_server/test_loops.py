"""A loop that dies or hangs is noticed; one that fails goes on."""

import asyncio

import asyncpg
import pytest

from runcast_server import loops
from runcast_server.loops import BACK_OFF_SECONDS, HUNG_FACTOR, Loop

pytestmark = pytest.mark.anyio


async def test_a_step_that_fails_is_named_and_tried_again() -> None:
    calls = 0
    recovered = asyncio.Event()

    async def step() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("not this time")
        assert loop.readiness().degraded == {"work": "not this time"} or calls > 2
        if calls == 3:
            recovered.set()

    loop = Loop("work", step, 0.001)
    async with loops.running([loop]):
        await asyncio.wait_for(recovered.wait(), 10)
        assert loop.readiness().failing == {}


async def test_what_postgres_quotes_of_a_row_is_told_to_no_one() -> None:
    begun = asyncio.Queue[None]()

    async def step() -> None:
        begun.put_nowait(None)
        error = asyncpg.UniqueViolationError("duplicate key value violates a constraint")
        error.detail = "Key (login)=(ann@example.org) already exists."
        raise error

    loop = Loop("work", step, 0.001)
    async with loops.running([loop]):
        for _ in range(2):
            await asyncio.wait_for(begun.get(), 10)
        assert "duplicate key" in str(loop.readiness())
        assert "ann@example.org" not in str(loop.readiness())


async def test_a_step_that_hangs_is_cut_off() -> None:
    begun = asyncio.Queue[None]()

    async def step() -> None:
        begun.put_nowait(None)
        await asyncio.Event().wait()

    loop = Loop("work", step, 0.0, limit_seconds=0.01)
    async with loops.running([loop]):
        for _ in range(3):
            await asyncio.wait_for(begun.get(), 10)
        assert "work" in loop.readiness().degraded


async def test_silence_and_death_fail() -> None:
    async def step() -> None:
        await asyncio.Event().wait()

    loop = Loop("work", step, 0.0, limit_seconds=60.0)
    assert loop.readiness().failing == {"work": "not running"}
    async with loops.running([loop]):
        assert loop.readiness().failing == {}
        loop.beat -= HUNG_FACTOR * (60.0 + BACK_OFF_SECONDS) + 1
        assert "no sign of life" in loop.readiness().failing["work"]
    assert loop.readiness().failing == {"work": "not running"}


async def test_a_cancellation_that_was_not_meant_for_the_loop_does_not_end_it() -> None:
    steps = 0
    went_on = asyncio.Event()

    async def step() -> None:
        nonlocal steps
        steps += 1
        if steps == 1:
            elsewhere = asyncio.get_running_loop().create_future()
            elsewhere.cancel()
            await elsewhere
        went_on.set()

    async with loops.running([Loop("work", step, 0.0)]):
        await asyncio.wait_for(went_on.wait(), 10)


async def test_soon_ends_a_long_pause_but_not_the_pause_after_a_failure() -> None:
    steps = asyncio.Queue[int]()

    async def step() -> None:
        steps.put_nowait(loop.failures)

    loop = Loop("work", step, 3600.0)
    async with loops.running([loop]):
        for _ in range(3):
            assert await asyncio.wait_for(steps.get(), 10) == 0
            loop.soon()


def test_one_item_s_fault_costs_that_item_alone_and_an_outage_passes_through() -> None:
    with loops.item("room", project="p"):
        raise KeyError("this room's own fault")
    with pytest.raises(asyncpg.LockNotAvailableError), loops.item("room"):
        raise asyncpg.LockNotAvailableError("everybody's")


async def test_pauses_end_on_one_beat_and_not_late() -> None:
    """A process with many loops wakes up twice a second, not as often as it has loops."""
    now = asyncio.get_running_loop().time()
    ends = [loops.next_beat(seconds) for seconds in (0.5, 1.0, 2.5, 30.0)]
    later = asyncio.get_running_loop().time()
    for seconds, end in zip((0.5, 1.0, 2.5, 30.0), ends, strict=True):
        assert now + seconds - loops.BEAT_SECONDS <= end <= later + seconds + loops.BEAT_SECONDS
        places = (end - ends[0]) / loops.BEAT_SECONDS
        assert abs(places - round(places)) < 1e-6
    short = loops.next_beat(0.05) - asyncio.get_running_loop().time()
    assert 0.0 < short <= 0.05


async def test_soon_in_the_middle_of_a_step_leaves_out_the_next_pause() -> None:
    steps = asyncio.Queue[None]()

    async def step() -> None:
        steps.put_nowait(None)
        if steps.qsize() == 1:
            loop.soon()

    loop = Loop("work", step, 3600.0)
    async with loops.running([loop]):
        await asyncio.wait_for(steps.get(), 10)
        await asyncio.wait_for(steps.get(), 10)


@pytest.mark.parametrize(
    ("every_seconds", "retry_seconds", "pauses"),
    [
        (0.5, None, [0.5, 1.0, 2.0, 2.0]),
        (30.0, None, [2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
        (0.0, None, [0.05, 0.1, 0.2]),
        (10.0, 0.5, [0.5, 1.0, 2.0, 2.0]),
    ],
)
def test_rare_work_goes_on_soon_after_a_short_outage(
    every_seconds: float, retry_seconds: float | None, pauses: list[float]
) -> None:
    async def step() -> None:
        pass

    loop, found = Loop("work", step, every_seconds, retry_seconds=retry_seconds), []
    for loop.failures in range(1, len(pauses) + 1):
        found.append(loop.back_off_seconds)
    assert found == pauses
