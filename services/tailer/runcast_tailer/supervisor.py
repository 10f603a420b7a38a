"""The tailer at work: one loop that finds files, reads what's new, sends it, and learns what is committed.

One loop does everything, so nothing here needs a lock. Files are looked at and read in a worker thread,
because a file system may be slow; the loop waits for it, and while it sends what was read, nothing is
read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from runcast._recording.run_directory import make_root
from runcast_tailer import metrics
from runcast_tailer.ack_poller import BUSY_SECONDS, Acknowledging
from runcast_tailer.guard import is_of_server
from runcast_tailer.lock import DirectoryLock
from runcast_tailer.options import TailerOptions
from runcast_tailer.queries import Server
from runcast_tailer.reconciler import Takeover
from runcast_tailer.run_scanner import SCAN_SECONDS, Watching
from runcast_tailer.schedule import Tails
from runcast_tailer.shipper import Shipper

RETRY_SECONDS = 1.0
SHORTEST_PAUSE_SECONDS = 0.005

log = structlog.get_logger(__name__)


class Supervisor:
    """`run` works until it's cancelled (by `tasks.end`). `trouble` says why it can't, for `/ready`."""

    def __init__(
        self,
        options: TailerOptions,
        server: Server,
        shipper: Shipper,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._shipper = shipper
        self._clock = clock
        self._tails = Tails(options, clock)
        takeover = Takeover(server, shipper, options.artifacts_url, options.auth)
        self._watching = Watching(options, server, takeover, self._tails)
        self._acknowledging = Acknowledging(server, shipper, self._tails)
        self.trouble: str | None = None

    @property
    def number_of_files(self) -> int:
        """Files that are followed."""
        return len(self._tails.all)

    async def run(self) -> None:
        """Works while this process holds the directory; another one waits for it."""
        lock = DirectoryLock(self._options.runs_dir)
        try:
            while True:
                if not self._may_work(lock):
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                try:
                    await self._round()
                except Exception as error:
                    # The outermost place: a fault of ours must not end the following for good.
                    self._stumble(error)
                    log.error("tailer.failed", exc_info=error)
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._tails.descriptors.close_all()
            lock.release()

    def _may_work(self, lock: DirectoryLock) -> bool:
        if lock.is_held:
            return True
        try:
            make_root(self._options.runs_dir)
            if lock.acquire():
                self.trouble = None
                return True
            self.trouble = "another tailer works on this directory"
        except OSError as error:
            self.trouble = str(error)
        return False

    async def _round(self) -> None:
        """Finds, reads, sends and acknowledges. What keeps one of these from working stops none of the
        others: lines go on while directories can't be looked at."""
        now = self._clock()
        if await self._part(self._watching.look(now)):
            self.trouble = None
        has_new = self._tails.is_due(now) and await asyncio.to_thread(self._tails.sweep, now)
        has_sent = await self._ship()
        await self._part(self._acknowledging.ask(self._clock()))
        self._tails.measure()
        await asyncio.sleep(0 if has_new and has_sent else self._pause())

    async def _part(self, work: Awaitable[None]) -> bool:
        """Whether the work could be done."""
        try:
            await work
        except Exception as error:
            if self._stumble(error) and not is_of_server(error):
                log.error("tailer.failed", exc_info=error)
            return False
        return True

    async def _ship(self) -> bool:
        unsent = self._tails.unsent()
        if not unsent:
            return False
        metrics.LINES.inc(sum(message.after.line - message.first.line for message in unsent))
        return await self._shipper.ship(unsent) > 0

    def _pause(self) -> float:
        if self._tails.is_busy:
            return BUSY_SECONDS
        longest = self._options.poll_seconds
        if not self._tails.waiting:
            # Nothing is under way: only a directory that was made a moment ago could be waiting.
            longest = max(longest, SCAN_SECONDS)
        seconds = self._tails.seconds_to_next(self._clock())
        return longest if seconds is None else min(max(seconds, SHORTEST_PAUSE_SECONDS), longest)

    def _stumble(self, error: Exception) -> bool:
        """Notes what must be waited for, unless this is to end and the error only stands in its place.
        Whether it is another trouble than before."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from error
        trouble = str(error) or type(error).__name__
        is_new = trouble != self.trouble
        if is_new:
            log.warning("tailer.waits", error=trouble)
        self.trouble = trouble
        return is_new
