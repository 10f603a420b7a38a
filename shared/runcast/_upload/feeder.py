"""Feeds the runs of this process to a server, beside the program that writes them.

The spool is the queue: the feeder reads the files, so nothing waits in memory, no writer is ever held up,
and what isn't sent when the process ends can be sent later (`runcast sync`). One thread sends for all
runs, a portion of each in turn, so that a run that floods doesn't hold up the others. Heartbeats have a
thread and a clock of their own: they extend leases and bring cancellations, whatever is being sent. A
server that is away is tried again after 1 to 30 s.

Calls that come from a run's program (`add`, `wake`, `flush`) may come from a signal handler, too: they
take no lock that a call which they interrupt may hold.
"""

import contextlib
import encodings.idna  # noqa: F401 — see below
import itertools
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator

import certifi  # noqa: F401 — see below
import httpcore  # noqa: F401 — see below

from runcast import errors
from runcast._support.backoff import Backoff
from runcast._support.fork_renewal import fork_renewal
from runcast._support.server_config import Connection
from runcast._upload.feed import POLL_SECONDS, Feed
from runcast.client.clients import Client, tls

# encodings.idna, certifi and httpcore are imported by socket and httpx when they are first used,
# which is in our thread. A host that forks in that moment would leave its child half a module.

logger = logging.getLogger("runcast")

GATHER_SECONDS = 0.02
LAST_TRIES_SECONDS = 0.5
IDLE_SECONDS = 2.0
"""How long the threads stay when there is no run."""
RETRY_SECONDS = 5.0
AWAITED = 4
"""How many of the runs whose programs wait for them go before each of the others."""
LOCKS = 64
"""How many runs keep the lock of the process that feeds them, a descriptor each, between two steps."""
BEATS_PER_SECOND = 50
"""Heartbeats of very many runs are spread, each run's then comes less often."""
THREAD_NAME = "runcast-feeder"
HEARTBEAT_THREAD_NAME = "runcast-heartbeat"

Connect = Callable[[], Client]


class Feeder:
    """The threads that feed runs to one server. They never raise; what goes wrong is told on the log."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._feeds: tuple[Feed, ...] = ()
        self._process = os.getpid()
        self._news: queue.SimpleQueue[Feed | None] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._heart: threading.Thread | None = None
        self._backoff = Backoff()
        self._dropped_at = 0.0
        self._next_try = 0.0
        self._has_told = False
        self._is_refused = False
        self._moved_at = 0.0
        self._waiting_since: float | None = None
        self._awaited: list[Feed] = []
        """Runs whose programs wait for them to be sent."""

    @property
    def is_ours(self) -> bool:
        """Whether the threads are this process's; a forked child has none of its parent's."""
        return os.getpid() == self._process

    def add(self, feed: Feed) -> None:
        """Begins to feed a run, until it is finished and sent."""
        with self._lock:
            if self._thread is None:
                tls()
                self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
                try:
                    self._thread.start()
                except BaseException:  # no thread is to be had: the next run tries again
                    self._thread = None
                    raise
            self._feeds = (*self._feeds, feed)
        self.wake(feed)

    def wake(self, feed: Feed) -> None:
        """There is something new of this run."""
        if not feed.is_woken:
            feed.is_woken = True
            self._news.put(feed)

    def flush(self, feed: Feed, seconds: float, *, at_most_seconds: float | None = None) -> int:
        """Waits until a run is sent; answers the bytes that aren't.

        Gives up after `seconds` in which the server took nothing, of any run: where very many runs end
        beside a server that is away, only the first one waits. And after `at_most_seconds`.
        """
        began = time.monotonic()
        ends_at = began + (at_most_seconds if at_most_seconds is not None else seconds)
        if self._waiting_since is None or self._moved_at > self._waiting_since:
            self._waiting_since = began
        pause = 0.001
        with self._in_a_hurry(feed):
            while not feed.is_sent and not feed.is_fed_by_another:
                now = time.monotonic()
                quiet_since = max(self._waiting_since, self._moved_at)
                if now >= ends_at or now - quiet_since >= seconds or self._is_hopeless(feed, began):
                    break
                time.sleep(pause)
                pause = min(pause * 2, 0.02)
        return feed.unsent()

    def flush_for(self, feed: Feed, seconds: float) -> int:
        """Waits until a run is sent, for at most so long; answers the bytes that aren't."""
        ends_at = time.monotonic() + seconds
        with self._in_a_hurry(feed):
            while not feed.is_sent and not feed.is_fed_by_another and time.monotonic() < ends_at:
                time.sleep(0.005)
        return feed.unsent()

    @contextlib.contextmanager
    def _in_a_hurry(self, feed: Feed) -> Iterator[None]:
        """While a program waits for a run, a server that is away is tried more often."""
        soon = time.monotonic() + LAST_TRIES_SECONDS
        self._awaited.append(feed)
        self._next_try = min(self._next_try, soon)
        feed.retry_at = min(feed.retry_at, soon)
        try:
            self.wake(feed)
            yield
        finally:
            self._awaited.remove(feed)

    def renew_after_fork(self) -> None:
        """In a forked child: its copies of the runs' locks would outlive the parent's feeder."""
        for feed in self._feeds:
            feed.forget_lock()
        self._feeds = ()
        self._lock = threading.RLock()

    def _is_hopeless(self, feed: Feed, since: float) -> bool:
        """No one listens at the server's address, and it has not known the run before: another half
        second was enough to see that."""
        return (
            self._is_refused
            and not feed.is_known
            and time.monotonic() - since >= LAST_TRIES_SECONDS
        )

    def _run(self) -> None:
        while True:
            try:
                with self._connect() as client:
                    while not self._is_idle():
                        self._start_heart()
                        if not self._round(client):
                            self._rest()
                return
            except Exception:  # the thread's outermost loop: the host program must not notice
                logger.warning("runs are not fed for a moment", exc_info=True)
                time.sleep(self._backoff.next_seconds())

    def _round(self, client: Client) -> bool:
        """A step of each run that has something to send, and before each of them one of those that are waited
        for: their ends must not wait for thousands of others. True if there may be more at once."""
        has_more = False
        now = time.monotonic()
        if now < self._next_try:
            return False
        try:
            for feed in self._feeds:
                due = (each for each in self._awaited if each.is_due(now))
                for each in (*itertools.islice(due, AWAITED), feed):
                    if each.is_due(now):
                        has_more |= self._step(client, each)
        except errors.Unreachable as error:
            self._away(error)
            return False
        return has_more

    def _step(self, client: Client, feed: Feed) -> bool:
        try:
            has_more = feed.step(client)
            if feed.has_moved:
                self._moved()
        except errors.Unreachable:
            raise
        except Exception:  # one run's failure costs that run a moment
            logger.warning("%s is not fed for a moment", feed.directory.path, exc_info=True)
            feed.retry_at = time.monotonic() + RETRY_SECONDS
            has_more = False
        if feed.is_done:
            self._drop(feed)
        elif feed.holds_lock and self._holds_many():  # taken again by its next step
            feed.let_go()
        return has_more

    def _moved(self) -> None:
        self._moved_at = time.monotonic()
        self._backoff.reset()
        self._next_try = 0.0
        if self._has_told:
            logger.warning("the server answers again: what waited is being sent")
        self._has_told = self._is_refused = False

    def _away(self, error: errors.Unreachable) -> None:
        """The server doesn't answer: that is every run's matter."""
        if not self._has_told:
            logger.warning("runs wait for the server: %s", error)
            self._has_told = True
        self._is_refused = error.is_refused
        wait = self._backoff.next_seconds()
        # While a program waits for its run's end, the server is tried more often.
        self._next_try = time.monotonic() + (LAST_TRIES_SECONDS if self._awaited else wait)

    def _rest(self) -> None:
        """Waits for news. They rarely come alone: a moment's wait makes one request of many calls."""
        number = len(self._feeds)
        try:
            idle = IDLE_SECONDS if not number else max(POLL_SECONDS, number / 1_000)
            self._news.get(timeout=idle)
        except queue.Empty:
            return
        if not self._awaited:
            time.sleep(GATHER_SECONDS)
        while not self._news.empty():
            self._news.get()

    def _is_idle(self) -> bool:
        """Whether there was no run for a while: the thread ends then, and a new run starts another."""
        if self._feeds or time.monotonic() - self._dropped_at < IDLE_SECONDS:
            return False
        with self._lock:
            if not self._feeds:
                self._thread = None
            return not self._feeds

    def _drop(self, feed: Feed) -> None:
        feed.let_go()
        with self._lock:
            self._feeds = tuple(each for each in self._feeds if each is not feed)
            self._dropped_at = time.monotonic()

    def _holds_many(self) -> bool:
        return sum(each.holds_lock for each in self._feeds) > LOCKS

    def _start_heart(self) -> None:
        if self._heart is None:
            heart = threading.Thread(target=self._beat, name=HEARTBEAT_THREAD_NAME, daemon=True)
            self._heart = heart
            try:
                heart.start()
            except RuntimeError:
                # No thread is to be had, or the interpreter ends: lines go on, the next round tries again.
                self._heart = None

    def _beat(self) -> None:
        while self._thread is not None:
            now = time.monotonic()
            for feed in self._feeds:
                if feed.beats(now):
                    self._beat_one(feed)
            time.sleep(self._seconds_to_next_beat())
        self._heart = None

    def _beat_one(self, feed: Feed) -> None:
        interval = max(feed.heartbeat_seconds or 0.0, len(self._feeds) / BEATS_PER_SECOND)
        feed.next_beat = time.monotonic() + interval
        try:
            feed.beat()
        except errors.RuncastError:  # the feeder tells that the server is away
            return
        except Exception:  # the thread's outermost loop, see `_run`
            logger.warning("a heartbeat failed", exc_info=True)

    def _seconds_to_next_beat(self) -> float:
        waits = [feed.next_beat for feed in self._feeds if feed.is_known]
        return min(max(min(waits, default=0.0) - time.monotonic(), 0.01), 0.25) if waits else 0.25


class Feeders:
    """The feeders of this process, one for each server."""

    def __init__(self) -> None:
        self._feeders: dict[tuple[str, str | None], Feeder] = {}
        fork_renewal.add(self)

    def of(self, server: Connection, connect: Callable[[Connection], Client]) -> Feeder:
        """The server's feeder."""
        made = self._feeders.setdefault((server.url, server.token), Feeder(lambda: connect(server)))
        return made

    def renew_after_fork(self) -> None:
        for each in self._feeders.values():
            each.renew_after_fork()
        self._feeders = {}


feeders = Feeders()
"""Those of this process."""
