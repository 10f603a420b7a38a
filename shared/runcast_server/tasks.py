"""Ending background tasks, for certain.

One `cancel` isn't enough. A call of redis-py that is cancelled at the moment at which it times out, or
its connection breaks, answers with that error (or even its result), and the cancellation is gone: a
loop that expects such errors goes on for ever, and whoever waits for it too. Under faults this was
seen once in some hundred cancellations.
"""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_SECONDS = 0.5


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
