"""Feeds a run's spool to the server, beside the program that writes it.

The spool is the queue: the feeder reads the file, so nothing waits in memory, the writer is never
held up, and what isn't sent when the process ends can be sent later (`runcast sync`). A server that
is away is tried again after 1 to 30 s. A process that finds another one feeding the same run waits
until that one is gone.

Nothing is noted about how far it got: the server says so.
"""

import encodings.idna  # noqa: F401 — see below
import functools
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable

import certifi  # noqa: F401 — see below
import httpcore  # noqa: F401 — see below

from runcast import errors
from runcast._recording import locks
from runcast._recording.run_directory import RunDirectory
from runcast._recording.spool import SpoolReader
from runcast._support.backoff import Backoff
from runcast._upload.uplink import Stopped, Uplink
from runcast.client.clients import Client, tls
from runcast.contract import SPOOL_FILE

# encodings.idna, certifi and httpcore are imported by socket and httpx when they are first used,
# which is in our thread. A host that forks in that moment would leave its child half a module.

logger = logging.getLogger("runcast")

POLL_SECONDS = 0.25
GATHER_SECONDS = 0.02
HEARTBEAT_SECONDS = 10.0
LAST_TRIES_SECONDS = 0.5
THREAD_NAME = "runcast-feeder"


class Feeder:
    """A thread that feeds one run. It never raises; what goes wrong is told on the log.

    `cancelled` is set when the run was cancelled at the server.
    """

    def __init__(
        self,
        directory: RunDirectory,
        connect: Callable[[], Client],
        *,
        heartbeat_seconds: float | None = HEARTBEAT_SECONDS,
    ) -> None:
        self.cancelled = threading.Event()
        self.expect_next_in_s: float | None = None
        self._directory = directory
        self._connect = connect
        self._heartbeat_seconds = heartbeat_seconds
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._has_told = False
        self._is_open = False
        self._process = os.getpid()
        self._lock: int | None = None
        self._last_heard = time.monotonic()
        self._position = 0
        self._ending: dict[str, str] | None = None
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)

    def start(self) -> None:
        """Raises `OSError` if the run's directory is gone."""
        # Opened before the thread runs: a fork then finds it here, and the child lets go of it.
        self._lock = os.open(self._directory.path, os.O_RDONLY | os.O_CLOEXEC)
        tls()
        self._thread.start()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=functools.partial(_let_go, weakref.ref(self)))

    def is_ours(self) -> bool:
        """Whether the thread is this process's; a forked child has none of its parent's."""
        return os.getpid() == self._process

    def wake(self) -> None:
        """There is something new in the spool."""
        self._wake.set()

    def close(self, flush_seconds: float, *, is_finished: bool) -> int:
        """Sends what is left, for at most so long; answers the bytes that are still unsent.

        `is_finished`: nothing will follow, so the server may close the log.
        """
        if is_finished:
            self._ending = {"reason": "status"}
        self._closing.set()
        self._wake.set()
        self._thread.join(flush_seconds)
        return self._directory.spool.stat().st_size - self._position

    def _run(self) -> None:
        try:
            self._feed()
        except Stopped as error:
            logger.warning("%s is not fed any more: %s", self._directory.path, error)
        except Exception:  # the thread's outermost loop: the host program must not notice
            logger.warning("%s is not fed any more", self._directory.path, exc_info=True)

    def _feed(self) -> None:
        assert self._lock is not None
        try:
            with self._connect() as client:
                if self._wait_for(self._lock):
                    self._feed_to(client)
        finally:
            lock, self._lock = self._lock, None
            os.close(lock)

    def _wait_for(self, lock: int) -> bool:
        """Waits while another process feeds this run; False if it still does when we close."""
        while not locks.try_lock(lock):
            if self._closing.wait(1.0):
                return locks.try_lock(lock)
        return True

    def _feed_to(self, client: Client) -> None:
        uplink = Uplink(client, self._directory, self._directory.read_run())
        reader = SpoolReader(self._directory.spool)
        backoff = Backoff()
        try:
            while True:
                try:
                    if not self._is_open:
                        uplink.open()
                        self._arrived(reader, uplink.cursor(SPOOL_FILE))
                        self._is_open = True
                    self._drain(uplink, reader)
                    backoff.reset()
                    self._has_told = False
                    if self._closing.is_set():
                        return
                    self._rest(uplink)
                except (errors.Unreachable, errors.ApiError) as error:
                    if not self._outlast(error, backoff):
                        return
        finally:
            reader.close()

    def _drain(self, uplink: Uplink, reader: SpoolReader) -> None:
        while (portion := reader.read()).lines:
            self._arrived(reader, uplink.send(SPOOL_FILE, portion))
            self._last_heard = time.monotonic()
        if self._ending is not None:
            uplink.send(SPOOL_FILE, portion, closed=self._ending)
            self._ending = None

    def _arrived(self, reader: SpoolReader, needed: tuple[int, int]) -> None:
        """Goes to where the server is: on, or back if it lost lines (go-back-N)."""
        line, offset = needed
        size = self._directory.spool.stat().st_size
        if offset > size:
            raise Stopped(
                f"the server holds another spool of this run ({offset} bytes, here {size})"
            )
        reader.seek(line, offset)
        self._position = offset

    def _rest(self, uplink: Uplink) -> None:
        """Waits for news; says in between that the run lives."""
        if self._wake.wait(POLL_SECONDS):
            # News rarely comes alone: a moment's wait makes one request of many calls.
            self._closing.wait(GATHER_SECONDS)
        self._wake.clear()
        if self._heartbeat_seconds is None or self.cancelled.is_set():
            return
        if time.monotonic() - self._last_heard >= self._heartbeat_seconds:
            self._last_heard = time.monotonic()
            if uplink.heartbeat(self.expect_next_in_s):
                self.cancelled.set()

    def _outlast(self, error: errors.RuncastError, backoff: Backoff) -> bool:
        """Waits until the next try; False if there is none."""
        if not self._has_told:
            logger.warning("%s waits for the server: %s", self._directory.path, error)
            self._has_told = True
        if self._closing.is_set():
            time.sleep(LAST_TRIES_SECONDS)
            return self._is_open
        wait = backoff.next_seconds(getattr(error, "retry_after_seconds", None))
        self._closing.wait(wait)
        return True


def _let_go(feeder: "weakref.ref[Feeder]") -> None:
    """In a forked child: its copy of the lock would outlive the parent's feeder."""
    there = feeder()
    if there is not None and there._lock is not None:
        os.close(there._lock)
        there._lock = None
