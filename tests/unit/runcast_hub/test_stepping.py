"""A stepped coroutine: run at once where it can, handed over where it can't."""

import asyncio

import pytest

from runcast_hub.stepping import Suspended, step

pytestmark = pytest.mark.anyio


async def test_one_that_needs_no_waiting_is_done_at_once() -> None:
    done = []

    async def work() -> None:
        done.append(1)

    assert step(work()) is None
    assert done == [1]


async def test_one_that_waits_is_finished_by_whoever_awaits_it() -> None:
    first, second = asyncio.Event(), asyncio.Event()
    done = []

    async def work() -> None:
        await first.wait()
        await second.wait()
        done.append(1)

    suspended = step(work())
    assert isinstance(suspended, Suspended)
    waiting = asyncio.create_task(_wait(suspended))
    first.set()
    await asyncio.sleep(0)
    assert done == []
    second.set()
    await waiting
    assert done == [1]


async def test_what_it_raises_reaches_the_one_who_steps_or_awaits() -> None:
    event = asyncio.Event()

    async def late() -> None:
        await event.wait()
        raise OSError("late")

    async def at_once() -> None:
        raise OSError("at once")

    with pytest.raises(OSError, match="at once"):
        step(at_once())
    suspended = step(late())
    assert suspended is not None
    event.set()
    with pytest.raises(OSError, match="late"):
        await suspended


async def test_cancellation_reaches_it_where_it_stands() -> None:
    seen = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    suspended = step(work())
    assert suspended is not None
    waiting = asyncio.create_task(_wait(suspended))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert seen == ["cancelled"]


async def test_one_that_nobody_awaits_can_be_closed() -> None:
    seen = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("closed")

    suspended = step(work())
    assert suspended is not None
    suspended.close()
    assert seen == ["closed"]


async def _wait(suspended: Suspended) -> None:
    await suspended
