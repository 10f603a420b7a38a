"""What an asynchronous tracker does in threads.

Imported when the first one begins: most programs have no event loop, and asyncio is a quarter of what the
SDK would load for it. A loop whose threads are gone already, because it is being closed, has the call done at
once: the host program must not notice.
"""

import asyncio
from collections.abc import Callable
from typing import Any


async def in_thread(call: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """What the call, which raises nothing, answers; the event loop goes on meanwhile."""
    try:
        return await asyncio.to_thread(call, *args, **named)
    except RuntimeError:
        return call(*args, **named)


async def to_its_end(call: Callable[..., Any], *args: Any) -> None:
    """As `in_thread`; a task that is cancelled meanwhile still has the call done, and is cancelled then."""
    await asyncio.shield(in_thread(call, *args))
