"""Waiting for a condition, never for a time: what tests do instead of sleeping for luck."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

DEADLINE_SECONDS = 60.0
"""Far beyond what anything takes on a busy machine."""
POLL_SECONDS = 0.02


async def until(
    condition: Callable[[], Any], what: str = "it", *, seconds: float = DEADLINE_SECONDS
) -> float:
    """Waits until the condition, which may be a coroutine, holds; answers after how many seconds.
    Fails naming what didn't come."""
    began = time.monotonic()
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        passed = time.monotonic() - began
        if found:
            return passed
        assert passed < seconds, f"waited {seconds:g} s for {what}"
        await asyncio.sleep(POLL_SECONDS)


def wait_for(
    condition: Callable[[], Any],
    what: str,
    said: Callable[[], str] = str,
    seconds: float = DEADLINE_SECONDS,
) -> float:
    """The same without an event loop. A failure shows what was `said` meanwhile."""
    began = time.monotonic()
    while not condition():
        passed = time.monotonic() - began
        assert passed < seconds, f"waited {seconds:g} s for {what}\n{said()}"
        time.sleep(POLL_SECONDS)
    return time.monotonic() - began
