"""All tails of a process, in the order in which they're looked at next.

A round gives each file that is due at most one read, so one that floods doesn't starve the others.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

from runcast.contract import PROGRESS_FILE, SPOOL_FILE
from runcast_tailer import metrics
from runcast_tailer.descriptors import Descriptors, sensible_limit
from runcast_tailer.encoder import Sender
from runcast_tailer.file_identity import Committed
from runcast_tailer.file_reader import Follower, FollowLimits
from runcast_tailer.guard import Guard
from runcast_tailer.options import TailerOptions
from runcast_tailer.scheduled_tail import Followed, WatchedRun
from runcast_tailer.tail import Tail
from runcast_tailer.window import Budget, Sent, Window

SPOOL_LINE_BYTES = 8 * 1024 * 1024
LONGEST_PAUSE_SECONDS = 60.0
"""Between two looks at a file that fails."""


class Tails:
    """`waiting` are those with something under way; `spools` those that others may feed as well."""

    def __init__(self, options: TailerOptions, clock: Callable[[], float]) -> None:
        self._options = options
        self._clock = clock
        self._schedule: list[Followed] = []
        self.all: set[Followed] = set()
        self.waiting: set[Followed] = set()
        self.spools: set[Followed] = set()
        self.budget = Budget()
        self.descriptors = Descriptors(sensible_limit())
        self._guard = Guard("file")

    def follow(
        self,
        source: str,
        run: dict[str, Any],
        run_id: UUID | None,
        path: Path,
        root: Path,
        committed: Committed | None,
        watched: WatchedRun | None = None,
        zone: str | None = None,
    ) -> Followed:
        """Begins to follow a file beneath `root` as a source of a run, from its committed cursor. `zone`:
        of times without an offset, if it isn't the tailer's."""
        follower = Follower(
            path,
            root,
            self.descriptors,
            self._limits(source),
            has_sentinel=source not in (SPOOL_FILE, PROGRESS_FILE),
            clock=self._clock,
        )
        follower.resume(committed or Committed())
        options = self._options
        sender = Sender(run, source, options.auth, zone or options.zone, options.streams)
        tail = Tail(follower, Window(self.budget), sender)
        followed = Followed(tail, source, run_id, path, watched, due=self._clock())
        if source == SPOOL_FILE:
            followed.is_shared = True
            self.spools.add(followed)
        self.all.add(followed)
        heapq.heappush(self._schedule, followed)
        return followed

    def _limits(self, source: str) -> FollowLimits:
        """A line of a spool is a whole message, with up to a hundred lines in it: it is never cut."""
        limits = self._options.limits
        return replace(limits, line_bytes=SPOOL_LINE_BYTES) if source == SPOOL_FILE else limits

    def drop(self, followed: Followed) -> None:
        """Follows it no longer; what is under way of it may still arrive."""
        followed.is_gone = True
        followed.tail.window.clear()
        self.descriptors.close(followed.tail.follower)
        for each in (self.all, self.waiting, self.spools):
            each.discard(followed)

    def hasten(self, followed: Followed, now: float) -> None:
        """Has it looked at in the next round."""
        followed.due = now
        heapq.heapify(self._schedule)

    def sweep(self, now: float) -> bool:
        """One look at each file that is due; for a worker thread. True if there was something new."""
        has_new = False
        looked: list[Followed] = []
        while self._schedule and self._schedule[0].due <= now:
            followed = heapq.heappop(self._schedule)
            if not followed.is_gone:
                has_new = self._look(followed, now) or has_new
                looked.append(followed)
        for followed in looked:
            heapq.heappush(self._schedule, followed)
        return has_new

    def _look(self, followed: Followed, now: float) -> bool:
        """One look at one file, and when the next one is. Whatever goes wrong costs this file a pause; then
        it is read again from its committed cursor."""
        options = self._options
        try:
            has_new = followed.step(now)
            pause = followed.interval(now, options.poll_seconds, options.wait_seconds)
            followed.failures = 0
        except Exception as error:  # the outermost place of a file
            self._guard.failed(followed.path, error)
            followed.failures += 1
            has_new = True
            pause = min(2.0**followed.failures, LONGEST_PAUSE_SECONDS)
        followed.due = now + pause
        if has_new:
            self.waiting.add(followed)
        return has_new

    def unsent(self) -> list[Sent]:
        """What has to go into the stream, each source's in order."""
        return [message for followed in self.waiting for message in followed.tail.unsent()]

    def is_due(self, now: float) -> bool:
        """Whether a file is to be looked at."""
        return bool(self._schedule) and self._schedule[0].due <= now

    def seconds_to_next(self, now: float) -> float | None:
        """Until the next look; None where nothing is followed."""
        return self._schedule[0].due - now if self._schedule else None

    @property
    def is_busy(self) -> bool:
        """Whether something waits for an acknowledgement to go on."""
        return self.budget.used > self.budget.least or any(
            followed.tail.follower.turning for followed in self.waiting
        )

    def measure(self) -> None:
        metrics.FOLLOWED.set(len(self.all))
        metrics.OPEN.set(len(self.descriptors))
        metrics.UNACKNOWLEDGED.set(self.budget.used)
