"""A loop that dies or hangs is noticed; one that fails goes on."""

import asyncio

import pytest

from runcast_api.maintenance import periodic
from runcast_api.maintenance.periodic import HUNG_FACTOR, Loop

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
    async with periodic.running([loop]):
        await asyncio.wait_for(recovered.wait(), 10)
        assert loop.readiness().failing == {}


async def test_a_step_that_hangs_is_cut_off() -> None:
    begun = asyncio.Queue[None]()

    async def step() -> None:
        begun.put_nowait(None)
        await asyncio.Event().wait()

    loop = Loop("work", step, 0.0, limit_seconds=0.01)
    async with periodic.running([loop]):
        for _ in range(3):
            await asyncio.wait_for(begun.get(), 10)
        assert "work" in loop.readiness().degraded


async def test_silence_and_death_fail() -> None:
    async def step() -> None:
        await asyncio.Event().wait()

    loop = Loop("work", step, 0.0, limit_seconds=60.0)
    assert loop.readiness().failing == {"work": "not running"}
    async with periodic.running([loop]):
        assert loop.readiness().failing == {}
        loop.beat -= HUNG_FACTOR * 60.0 + 1
        assert "no sign of life" in loop.readiness().failing["work"]
    assert loop.readiness().failing == {"work": "not running"}
