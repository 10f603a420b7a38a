"""Ending background tasks, for certain, and waiting for others by our own clock.

One `cancel` isn't enough. A call of redis-py that is cancelled at the moment at which it times out, or
its connection breaks, answers with that error (or even its result), and the cancellation is gone: a
loop that expects such errors goes on for ever, and so does the one that waits for it. Under faults this was
seen once in some hundred cancellations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

AGAIN_SECONDS = 0.5
STEPS = 5

T = TypeVar("T")


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancels the tasks until they have ended, however they end. What they raise is not raised here."""
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        done, waiting = await asyncio.wait(waiting, timeout=AGAIN_SECONDS)
        for task in done:
            if not task.cancelled():
                task.exception()


async def done_within(waited_for: asyncio.Future[Any], seconds: float) -> bool:
    """Waits for a future, `seconds` at most; whether it is done. It is not cancelled.

    The time is counted in steps of the event loop: a loop that was held up for longer than `seconds` looks
    at what has arrived before it calls the other side silent.
    """
    for _ in range(STEPS):
        if waited_for.done():
            break
        await asyncio.wait((waited_for,), timeout=seconds / STEPS)
    return waited_for.done()


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, or `TimeoutError` after `seconds`, counted as `done_within` does."""
    task = asyncio.ensure_future(work)
    try:
        if not await done_within(task, seconds):
            raise TimeoutError
    finally:
        if not task.done():
            await end(task)
    return task.result()
