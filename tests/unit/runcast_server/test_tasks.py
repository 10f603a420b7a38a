import asyncio

import pytest

from runcast_server import tasks

pytestmark = pytest.mark.anyio


async def test_a_loop_that_swallows_a_cancellation_is_ended_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.01)
    swallowed = []

    async def loop() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed.append(1)
                if len(swallowed) > 2:
                    raise

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await tasks.end(task)
    assert task.cancelled()
    assert len(swallowed) == 3


async def test_what_a_task_raises_is_its_own() -> None:
    async def fail() -> None:
        raise ValueError

    await tasks.end(asyncio.create_task(fail()))
    await tasks.end()
