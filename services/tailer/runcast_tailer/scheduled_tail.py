"""The tails of a process: each with its run, and when it is looked at next."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from runcast.contract import SPOOL_FILE
from runcast_tailer import closing
from runcast_tailer.closing import GOING_ON, OVER, Ending
from runcast_tailer.queries import KnownRun
from runcast_tailer.run_directory import RunDirectory, RunName
from runcast_tailer.tail import Tail

HOT_SECONDS = 60.0
WARM_SECONDS = 600.0
WARM_INTERVAL = 1.0
COLD_INTERVAL = 2.0
SHARED_SECONDS = 0.5
"""Grace period for a spool's writer to upload it before the tailer does."""
FIRST_REWIND_SECONDS = 2.0
LAST_REWIND_SECONDS = 300.0


@dataclass(eq=False, slots=True)
class WatchedRun:
    """A run directory, and what the server knows of its run."""

    directory: RunDirectory
    name: RunName
    known: KnownRun
    project: str
    """The project of directories that name none."""
    tails: dict[str, Followed] = field(default_factory=dict)
    due: float = 0.0
    news_due: float = 0.0
    news_tries: int = 0

    @property
    def run_id(self) -> UUID | None:
        return self.known.run_id or self.name.run_id

    def address(self) -> dict[str, Any]:
        """What messages carry so that the run is found, or made if it isn't known yet."""
        if self.known.run_id is not None:
            return {"run_id": str(self.known.run_id)}
        return self.name.address()

    def learn(self, known: KnownRun) -> None:
        """Takes what the server knows now; its tails ask and send by the run's id from then on."""
        self.known = known
        if known.run_id is not None:
            for each in self.tails.values():
                each.run_id, each.tail.sender.run = known.run_id, self.address()

    def name_again(self) -> None:
        """Looks once more whose run it is: run.json may have come after the first look."""
        self.name = self.directory.run_name(self.project) or self.name

    @property
    def is_drained(self) -> bool:
        """Whether everything that its files hold is committed."""
        return all(each.is_drained for each in self.tails.values())


@dataclass(eq=False, slots=True)
class Followed:
    """One tail in the schedule."""

    tail: Tail
    source: str
    run_id: UUID | None
    path: Path
    watched: WatchedRun | None = None
    active_at: float = 0.0
    due: float = 0.0
    rewind_seconds: float = FIRST_REWIND_SECONDS
    is_gone: bool = False
    has_ended: bool = False
    """The server says that the run is over."""
    is_shared: bool = False
    shared_until: float | None = None
    failures: int = 0
    """Looks that failed since the last one that didn't."""

    def __lt__(self, other: Followed) -> bool:
        return self.due < other.due

    @property
    def is_drained(self) -> bool:
        return self.tail.follower.exhausted and not self.tail.window

    def is_lively(self, now: float) -> bool:
        """Whether it moved lately."""
        return now - self.active_at < HOT_SECONDS

    def step(self, now: float) -> bool:
        """Looks at the file; True if there is something new to send."""
        if self._sleeps(now):
            return False
        if self.is_shared and not self._may_read_shared(now):
            return False
        is_first = not self.active_at
        self._address()
        has_new = self.tail.step(now)
        if has_new or self.tail.follower.turning:
            self.active_at = now
        elif is_first and self.tail.follower.missing:
            self.active_at = now  # it is still to come, so it can't be old
        elif is_first:
            self.active_at = now - max(time.time() - self.tail.follower.modified, 0.0)
        return has_new or self._close(now)

    def _sleeps(self, now: float) -> bool:
        """Nothing is under way, nothing is to be closed, and the file is as it was."""
        follower = self.tail.follower
        if self.tail.window or not follower.exhausted or follower.turning:
            return False
        if follower.closed is None and (
            self.has_ended or follower.holds_sentinel or not self._is_young(now)
        ):
            return False
        return not self.is_shared and follower.is_unchanged()

    def _is_young(self, now: float) -> bool:
        """Not abandoned yet, and its directory says nothing of an end."""
        state = self.watched.directory.state if self.watched else None
        return state is None and now - self.active_at < closing.ABANDONED_SECONDS

    def _address(self) -> None:
        """Before its first line is sent, a run that the server doesn't know is named once more."""
        watched = self.watched
        if (
            watched is not None
            and watched.known.run_id is None
            and self.tail.follower.cursor.line == 1
            and not self.tail.window
        ):
            watched.name_again()
            self.run_id, self.tail.sender.run = watched.run_id, watched.address()

    def _may_read_shared(self, now: float) -> bool:
        """A spool that its writer uploads is read only if the writer pauses for a moment.

        The committed cursor is asked for meanwhile, and moves the follower past what the writer uploaded.
        """
        try:
            has_new = self.path.stat().st_size > self.tail.follower.cursor.offset
        except OSError:
            has_new = False
        if not has_new:
            self.shared_until = None
            return True
        self.active_at = now
        if self.shared_until is None:
            self.shared_until = now + SHARED_SECONDS
        return now >= self.shared_until

    def _close(self, now: float) -> bool:
        if self.tail.follower.closed is not None:
            return False
        ending = self._ending()
        silent_seconds = now - self.active_at
        reason = closing.reason(self.tail.follower, ending, now, silent_seconds=silent_seconds)
        if reason is None:
            return False
        try:
            return self.tail.finish(reason, now, ending.size if reason == "status" else None)
        except OSError as error:
            self.tail.follower.trouble = error
            return False

    def _ending(self) -> Ending:
        state = self.watched.directory.state if self.watched else None
        if self.source == SPOOL_FILE or state is None:
            return OVER if self.has_ended else GOING_ON
        is_log = self.source == "logs.txt"
        return Ending(self.has_ended or state.is_terminal, state.log_size if is_log else None)

    def interval(self, now: float, poll_seconds: float, wait_seconds: float) -> float:
        """Seconds until the next look: none while there is more, few for a file that moves, more for
        one that sleeps."""
        follower = self.tail.follower
        silent = now - self.active_at
        if follower.missing and follower.cursor.offset == 0:
            return poll_seconds if silent < wait_seconds else WARM_INTERVAL
        if not follower.exhausted and follower.trouble is None and self.tail.window:
            return poll_seconds if follower.turning or follower.missing else 0.0
        if silent < HOT_SECONDS or self.tail.window:
            return poll_seconds
        return WARM_INTERVAL if silent < WARM_SECONDS else COLD_INTERVAL
