"""Sends reports to the server from a thread of its own: what can be lost rather than waited for.

For what describes the moment (a worker's status, runtime events). Runs and their logs take the
other way, through files (`feeder`).
"""

import contextlib
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from runcast import errors
from runcast._support.backoff import Backoff
from runcast._support.fork_renewal import fork_renewal
from runcast.client.calls import Call
from runcast.client.clients import Client, tls
from runcast.client.exchange import ONCE

logger = logging.getLogger("runcast")

Connect = Callable[[], Client]
Next = Callable[[], Call[Any] | None]


class Background:
    """A thread that sends what `next_call` answers, until that is None, whenever it is woken or
    `every_seconds` have gone by (then it asks `tick` before).

    `failed`, if given, is told why a call failed; the thread then waits 1 to 30 s. `wake` may be called in
    a signal handler, which may have interrupted the same call: a `SimpleQueue` allows that, an `Event`
    doesn't.
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
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._ends: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_woken = False
        self._is_closing = False
        self._has_told = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread, unless it runs. After `close` it may be started once more. Where no thread is to
        be had that is told on the log."""
        if self._thread is not None and self._thread.is_alive() and not self._is_closing:
            return
        self._is_closing = False
        self._ends = queue.SimpleQueue()
        thread = threading.Thread(target=self._run, name=f"runcast-{self._name}", daemon=True)
        try:
            tls()
            thread.start()
        except Exception as error:  # the host program must not notice
            logger.warning("%s is not reported: %s", self._name, error)
        else:
            self._thread = thread

    def wake(self) -> None:
        if not self._is_woken:
            self._is_woken = True
            self._news.put(None)

    def close(self, flush_seconds: float) -> None:
        """Sends what is left, for at most so long."""
        self._is_closing = True
        self._ends.put(None)
        self._news.put(None)
        if self._thread is not None and self._thread.is_alive():
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
            is_last = self._is_closing
            if self._send(client):
                backoff.reset()
            elif not is_last:
                with contextlib.suppress(queue.Empty):
                    self._ends.get(timeout=backoff.next_seconds())
                continue
            if is_last:
                return
            self._wait()

    def _wait(self) -> None:
        """Until there is news or the interval is over. What is woken from here on is news again."""
        try:
            self._news.get(timeout=self._every_seconds)
        except queue.Empty:
            if self._tick is not None:
                self._tick()
        self._is_woken = False

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
            except Exception:  # what one report holds costs that report alone
                if not self._has_told:
                    logger.warning("%s: a report is lost", self._name, exc_info=True)
                    self._has_told = True
        return True


class Kept:
    """The last N of something, and those of them that wait to be sent; safe between threads, and in a signal
    handler that interrupts one of its calls."""

    def __init__(self, number: int) -> None:
        self.last: deque[dict[str, Any]] = deque(maxlen=number)
        self.dropped = 0
        self._waiting: deque[dict[str, Any]] = deque()
        self._number = number
        self._lock = threading.RLock()
        fork_renewal.add(self)

    def renew_after_fork(self) -> None:
        """What waits is the parent's to send."""
        self._lock = threading.RLock()
        self._waiting.clear()

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
