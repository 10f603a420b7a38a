"""The turns of an event loop: how much is done in one of them, while others want theirs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Turns:
    """How many there were."""

    number = 0


@contextlib.asynccontextmanager
async def counted() -> AsyncIterator[Turns]:
    """Counts the loop's turns during the block, by a task that has one in each."""
    turns = Turns()

    async def others() -> None:
        while True:
            turns.number += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    try:
        yield turns
    finally:
        beside.cancel()
