"""Polls committed cursors: releases windows, rewinds sources, learns ids of runs, finds logs to close.

Committed cursors are asked for every second, and as often as `BUSY_SECONDS` while a window fills up.
"""

from __future__ import annotations

from collections.abc import Collection

from runcast.contract import SPOOL_FILE
from runcast_tailer import metrics
from runcast_tailer.file_identity import Committed
from runcast_tailer.guard import Guard
from runcast_tailer.options import Beats
from runcast_tailer.queries import Server
from runcast_tailer.schedule import Tails
from runcast_tailer.scheduled_tail import FIRST_REWIND_SECONDS, LAST_REWIND_SECONDS, Followed
from runcast_tailer.shipper import Shipper

BUSY_SECONDS = 0.03
EACH_SECONDS = 0.0005
"""Added to the pace for each source that is asked for, so that thousands don't ask all the time."""
CURSOR_SECONDS = 1.0
PACE_SECONDS = 0.5
SHARED_SECONDS = 0.1
ENDED_SECONDS = 2.0
REVIEW_SECONDS = 60.0
"""Within this time each source is compared with its committed cursor, whether or not it moved."""
STUCK_SECONDS = 60.0
"""A message that lies unread in the stream for so long is sent again all the same."""
MANY_RUNS = 1_000


class Acknowledging:
    """Brings what Postgres knows to the tails. Methods raise database errors as they come."""

    def __init__(self, server: Server, shipper: Shipper, tails: Tails) -> None:
        self._server = server
        self._shipper = shipper
        self._tails = tails
        self._beats = Beats()
        self._to_review: list[Followed] = []
        self._guard = Guard("acknowledgement")

    async def ask(self, now: float) -> None:
        """Asks for whatever it's time for."""
        waiting = self._tails.waiting
        pace = max(BUSY_SECONDS, len(waiting) * EACH_SECONDS)
        pace = pace if self._tails.is_busy else CURSOR_SECONDS
        if waiting and self._beats.is_time("cursors", now, pace):
            await self._ask_cursors(list(waiting), now)
            await self._rewind(now)
        if self._beats.is_time("pace", now, PACE_SECONDS):
            self._tails.budget.pace(now)
        if self._beats.is_time("shared", now, SHARED_SECONDS):
            await self._ask_shared(now)
        if self._beats.is_time("ended", now, ENDED_SECONDS):
            await self._ask_ended([each for each in self._tails.all if each.is_lively(now)])
        if self._beats.is_time("review", now, CURSOR_SECONDS):
            await self._review(now)

    async def _ask_cursors(self, some: Collection[Followed], now: float) -> None:
        await self._resolve(some)
        run_ids = list({each.run_id for each in some if each.run_id is not None})
        for first in range(0, len(run_ids), MANY_RUNS):
            part = run_ids[first : first + MANY_RUNS]
            cursors, asked = await self._server.cursors(part), set(part)
            for each in some:
                if each.run_id in asked and not each.is_gone:
                    committed = cursors.get((each.run_id, each.source), Committed())
                    with self._guard.item(each.path):
                        self._acknowledge(each, committed, now)

    def _acknowledge(self, followed: Followed, committed: Committed, now: float) -> None:
        tail = followed.tail
        before, place = len(tail.window.sent), tail.follower.cursor
        tail.committed(committed, now)
        if len(tail.window.sent) < before:
            followed.rewind_seconds = FIRST_REWIND_SECONDS
        if tail.follower.cursor != place:
            followed.is_shared = followed.source == SPOOL_FILE
            followed.shared_until = None
        if not tail.window:
            self._tails.waiting.discard(followed)

    async def _resolve(self, some: Collection[Followed]) -> None:
        """Learns the ids of runs that their first message has made."""
        unknown = list(
            {each.watched for each in some if each.watched and each.watched.known.run_id is None}
        )
        if not unknown:
            return
        known = await self._server.runs([run.name for run in unknown])
        for run, found in zip(unknown, known, strict=True):
            if found.run_id is not None:
                run.learn(found)

    async def _ask_shared(self, now: float) -> None:
        """Spools that their writers may be bringing themselves: how far are they?"""
        shared = [each for each in self._tails.spools if each.shared_until is not None]
        if shared:
            await self._ask_cursors(shared, now)
        for followed in shared:
            if followed.shared_until is not None and now >= followed.shared_until:
                followed.is_shared, followed.shared_until = False, None
                self._tails.hasten(followed, now)

    async def _review(self, now: float) -> None:
        """A few of the sources that sleep: has the database gone back, has the run ended?"""
        if not self._to_review:
            self._to_review = list(self._tails.all)
        count = int(len(self._tails.all) / REVIEW_SECONDS) + 1
        part = [each for each in self._to_review[-count:] if not each.is_gone]
        del self._to_review[-count:]
        await self._ask_cursors(part, now)
        await self._ask_ended(part)

    async def _ask_ended(self, some: Collection[Followed]) -> None:
        still_open = [each for each in some if each.tail.follower.closed is None and each.run_id]
        if still_open:
            ended = await self._server.ended({each.run_id for each in still_open if each.run_id})
            for each in still_open:
                each.has_ended = each.run_id in ended

    async def _rewind(self, now: float) -> None:
        """Sends again what doesn't advance and is no longer in the stream: it was lost or discarded."""
        for followed in list(self._tails.waiting):
            window = followed.tail.window
            still_seconds = now - window.still_since
            if not window or still_seconds < followed.rewind_seconds:
                continue
            first = window.sent[0]
            if first.entry is None:
                continue
            if still_seconds > STUCK_SECONDS or not await self._shipper.has(first):
                metrics.REWINDS.inc()
                window.rewind(now)
                followed.rewind_seconds = min(followed.rewind_seconds * 2, LAST_REWIND_SECONDS)
