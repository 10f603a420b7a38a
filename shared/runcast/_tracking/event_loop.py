"""What an asynchronous tracker does in threads.

Imported when the first one begins: most programs have no event loop, and asyncio is a quarter of what the
SDK would load for it. A loop whose threads are gone already, because it is being closed, has the call done at
once: the host program must not notice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


async def in_thread(call: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """What the call, which raises nothing, answers; the event loop goes on meanwhile."""
    try:
        return await asyncio.to_thread(call, *args, **named)
    except RuntimeError:
        return call(*args, **named)


async def begin(begin: Callable[[], Any], end: Callable[..., Any]) -> None:
    """Begins something. A task that is cancelled meanwhile has no block that would end it, so it is ended as
    soon as it has begun."""
    begun = asyncio.ensure_future(in_thread(begin))
    try:
        await asyncio.shield(begun)
    except asyncio.CancelledError as error:
        await asyncio.shield(_end_then(begun, end, type(error).__name__))
        raise


async def _end_then(begun: Awaitable[Any], end: Callable[..., Any], reason: str) -> None:
    await begun
    await in_thread(end, "cancelled", reason)


async def to_its_end(call: Callable[..., Any], *args: Any) -> None:
    """As `in_thread`; a task that is cancelled meanwhile still has the call done, and is cancelled then."""
    await asyncio.shield(in_thread(call, *args))
