"""Turns that go around among those who wait."""

from __future__ import annotations

import asyncio

import pytest

from runcast_server.fair_turns import FairTurns

pytestmark = pytest.mark.anyio


async def test_a_busy_room_s_reads_and_a_quiet_one_s_are_served_in_turn() -> None:
    turns = FairTurns(1)
    served: list[str] = []

    async def read(name: str) -> None:
        async with turns.of(name):
            served.append(name)
            await asyncio.sleep(0)

    busy = [asyncio.create_task(read("busy")) for _ in range(300)]
    await asyncio.sleep(0)
    quiet = [asyncio.create_task(read(name)) for name in ("a", "b", "a")]
    await asyncio.gather(*quiet)
    assert len(served) <= 2 * 3 + 3, (
        "the quiet ones waited for one read of the busy one at each turn"
    )
    await asyncio.gather(*busy)
    assert len(served) == 303


async def test_who_gives_up_while_waiting_takes_no_turn_with_them() -> None:
    turns = FairTurns(2)

    async def wait(name: int) -> None:
        async with turns.of(name):
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(wait(number % 3)) for number in range(50)]
    for _ in range(3):
        await asyncio.sleep(0)
    for task in tasks[::2] + tasks[1::2]:
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(10), turns.of("x"), turns.of("y"):
        pass
