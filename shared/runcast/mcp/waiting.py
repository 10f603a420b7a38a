"""Waits that end before clients give up, and say meanwhile that they go on."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from typing import Any

from mcp.server.mcpserver import Context

LONGEST_SECONDS = 45.0
"""Clients give a call 60 s: less than that, with room for the way."""
POLL_SECONDS = 0.5
PROGRESS_SECONDS = 15.0


async def until(
    context: Context[Any, Any], seconds: float, pause_seconds: float = POLL_SECONDS
) -> AsyncIterator[float]:
    """Yields how many seconds are left, again and again, the last time 0 or less. What is no finite number of
    seconds means the longest wait."""
    began = time.monotonic()
    wanted = seconds if math.isfinite(seconds) else LONGEST_SECONDS
    end = began + min(max(wanted, 0.0), LONGEST_SECONDS)
    told = began
    while True:
        left = end - time.monotonic()
        yield left
        if left <= 0:
            return
        if time.monotonic() - told >= PROGRESS_SECONDS:
            told = time.monotonic()
            await context.report_progress(told - began, LONGEST_SECONDS, "still waiting")
        await asyncio.sleep(min(pause_seconds, max(end - time.monotonic(), 0)))
