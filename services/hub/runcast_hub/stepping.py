"""Driving a coroutine by hand until it suspends.

An ASGI `send` to a socket with room finishes without suspending, so it needs no task: the broadcaster
steps it once, directly, for every subscriber. One that does suspend (the socket is full) is handed to
the subscriber's own task, which awaits the rest of it. This is what makes a delivery cost little more
than its system call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, cast


class Suspended:
    """The rest of a coroutine that was stepped and suspended. Await it exactly once, or `close` it.

    Cancellation of the awaiting task reaches the coroutine at the place where it stands.
    """

    __slots__ = ("_coroutine", "future")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], future: asyncio.Future[Any]) -> None:
        self._coroutine = coroutine
        self.future = future

    def __await__(self) -> Generator[Any, Any, None]:
        pending: Any = self.future
        while True:
            try:
                value = yield pending
            except BaseException as error:
                thrown: BaseException | None = error
            else:
                thrown = None
            try:
                pending = self._coroutine.throw(thrown) if thrown else self._coroutine.send(value)
            except StopIteration:
                return

    def close(self) -> None:
        """Ends the coroutine where it stands, without waiting."""
        self._coroutine.close()


def step(awaitable: Awaitable[Any]) -> Suspended | None:
    """Runs a coroutine, as an ASGI `send` or `receive` returns it, until it ends (None) or suspends.
    Raises what it raises."""
    coroutine = cast("Coroutine[Any, Any, Any]", awaitable)
    try:
        return Suspended(coroutine, coroutine.send(None))
    except StopIteration:
        return None
