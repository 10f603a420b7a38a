"""Sends reports to the server from a thread of its own: what can be lost rather than waited for.

For what describes the moment (a worker's status, runtime events). Runs and their logs take the
other way, through files (`feeder`).
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from runcast import errors
from runcast._support.backoff import Backoff
from runcast.client.calls import Call
from runcast.client.clients import Client, tls
from runcast.client.exchange import ONCE

logger = logging.getLogger("runcast")

Connect = Callable[[], Client]
Next = Callable[[], Call[Any] | None]


class Background:
    """A thread that sends what `next_call` answers, until that is None, whenever it is woken or
    `every_seconds` have gone by (then it asks `tick` before).

    `failed`, if given, is told why a call failed; the thread then waits 1 to 30 s.
    """

    def __init__(
        self,
        name: str,
        connect: Connect,
        next_call: Next,
        *,
        every_seconds: float | None = None,
        tick: Callable[[], None] | None = None,
        failed: Callable[[errors.RuncastError], None] | None = None,
    ) -> None:
        self._name = name
        self._connect = connect
        self._next_call = next_call
        self._every_seconds = every_seconds
        self._tick = tick
        self._failed = failed
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._has_told = False
        self._thread = threading.Thread(target=self._run, name=f"runcast-{name}", daemon=True)

    def start(self) -> None:
        tls()
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def close(self, flush_seconds: float) -> None:
        """Sends what is left, for at most so long."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(flush_seconds)

    def _run(self) -> None:
        try:
            with self._connect() as client:
                self._send_all(client)
        except errors.NotConfigured as error:
            logger.info("%s is not reported: %s", self._name, error)
        except errors.RuncastError as error:
            logger.warning("%s is not reported: %s", self._name, error)
        except Exception:  # the thread's outermost loop: the host program must not notice
            logger.warning("%s is not reported any more", self._name, exc_info=True)

    def _send_all(self, client: Client) -> None:
        backoff = Backoff()
        while True:
            is_last = self._closing.is_set()
            if self._send(client):
                backoff.reset()
            elif not is_last:
                self._closing.wait(backoff.next_seconds())
                continue
            if is_last:
                return
            if not self._wake.wait(self._every_seconds) and self._tick is not None:
                self._tick()
            self._wake.clear()

    def _send(self, client: Client) -> bool:
        while (call := self._next_call()) is not None:
            try:
                client.send(call, ONCE)
                self._has_told = False
            except errors.RuncastError as error:
                if self._failed is not None:
                    self._failed(error)
                if not self._has_told:
                    logger.warning("%s can't be reported: %s", self._name, error)
                    self._has_told = True
                return False
        return True


class Kept:
    """The last N of something, and those of them that wait to be sent; safe between threads."""

    def __init__(self, number: int) -> None:
        self.last: deque[dict[str, Any]] = deque(maxlen=number)
        self.dropped = 0
        self._waiting: deque[dict[str, Any]] = deque()
        self._number = number
        self._lock = threading.Lock()

    def add(self, item: dict[str, Any]) -> None:
        with self._lock:
            self.last.append(item)
            self._waiting.append(item)
            self._shorten()

    def take(self, number: int) -> list[dict[str, Any]]:
        """The next that wait."""
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(number, len(self._waiting)))]

    def put_back(self, items: list[dict[str, Any]]) -> None:
        """Those that could not be sent wait again, before the others."""
        with self._lock:
            self._waiting.extendleft(reversed(items))
            self._shorten()

    def _shorten(self) -> None:
        while len(self._waiting) > self._number:
            self._waiting.popleft()
            self.dropped += 1
