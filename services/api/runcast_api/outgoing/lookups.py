"""Names of receivers, looked up in threads of their own.

The event loop's own look-up has few threads (libuv gives it two at a time), and the connections to Postgres,
Redis and the object store need them as well. A name whose server never answers holds a thread for many
seconds, and users choose the names: their look-ups would stop all of those. A thread can't be ended,
so these are daemons: a process that stops doesn't wait for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Hashable
from typing import Any

from runcast_server.fair_turns import FairTurns

AT_ONCE = 16
"""Look-ups at a time; projects and people take turns at them."""

Found = list[Any]
"""What `socket.getaddrinfo` answers."""


class Lookups:
    """Looks names up. `payer` is the project or person that takes turns. What is asked for while it is
    looked up already isn't asked again."""

    def __init__(self) -> None:
        self._turns = FairTurns(AT_ONCE)
        self._running: dict[tuple[Hashable, str, int], asyncio.Task[Found]] = {}

    async def find(self, payer: Hashable, host: str, port: int) -> Found:
        """The addresses of a name. Raises `OSError`, `UnicodeError`."""
        asked = (payer, host, port)
        task = self._running.get(asked)
        if task is None:
            task = self._running[asked] = asyncio.create_task(self._find(payer, host, port))
            task.add_done_callback(lambda _: self._running.pop(asked, None))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def _find(self, payer: Hashable, host: str, port: int) -> Found:
        """A turn is held until the thread has ended, even where nothing waits for it any more."""
        async with self._turns.of(payer):
            return await _in_a_thread(
                lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            )

    def close(self) -> None:
        """Waits for nothing."""
        for task in list(self._running.values()):
            task.cancel()


def _in_a_thread(work: Callable[[], Found]) -> asyncio.Future[Found]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Found] = loop.create_future()

    def tell(found: Found | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(found or [])

    def run() -> None:
        found, failed = None, None
        try:
            found = work()
        except Exception as error:  # told where it is waited for
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, found, failed)

    threading.Thread(target=run, name="receiver-name", daemon=True).start()
    return future
