"""All tails of a process: found, looked at when they're due, sent, acknowledged, closed.

One loop does everything, so nothing here needs a lock. Files are looked at and read in a worker thread,
because a file system may be slow; the loop waits for it, and while it sends what was read, nothing is
read. A round gives each file that is due at most one read, so one that floods doesn't starve the others.
Committed cursors are asked for every second, and as often as `BUSY_SECONDS` while a window fills up.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import asyncpg
import structlog

from runcast_server.bus import BUS_ERRORS
from runcast_server.db import CONNECTION_ERRORS
from runcast_server.errors import Unavailable
from runcast_tailer import metrics
from runcast_tailer.descriptors import Descriptors, sensible_limit
from runcast_tailer.discovery import Discovery
from runcast_tailer.follow import Follower, FollowLimits
from runcast_tailer.followed import (
    FIRST_REWIND_SECONDS,
    LAST_REWIND_SECONDS,
    Followed,
    WatchedRun,
)
from runcast_tailer.identity import Committed
from runcast_tailer.lock import DirectoryLock
from runcast_tailer.messages import Sender
from runcast_tailer.run_directory import SPOOL, RunDirectory
from runcast_tailer.server import Asked, Server
from runcast_tailer.shipping import Shipper
from runcast_tailer.tail import Tail
from runcast_tailer.takeover import Takeover
from runcast_tailer.window import Budget, Window

SCAN_SECONDS = 0.5
SLEEPING_SCAN_SECONDS = 3.0
BUSY_SECONDS = 0.03
CURSOR_SECONDS = 1.0
ENDED_SECONDS = 2.0
REVIEW_SECONDS = 60.0
"""Within this time each source is compared with its committed cursor, whether or not it moved."""
HOMELESS_SECONDS = 5.0
RETRY_SECONDS = 1.0
MANY_RUNS = 1_000
NEWS_AT_ONCE = 20
STORAGE_ERRORS = (*CONNECTION_ERRORS, asyncpg.PostgresError, Unavailable, OSError, *BUS_ERRORS)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class TailerOptions:
    """What is followed, and how."""

    runs_dir: Path
    roots: tuple[Path, ...]
    project: str
    poll_seconds: float = 0.1
    wait_seconds: float = 5.0
    limits: FollowLimits = field(default_factory=FollowLimits)
    auth: str | None = None
    artifacts_url: str = "memory:///"


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
        self._server = server
        self._shipper = shipper
        self._clock = clock
        self._takeover = Takeover(server, shipper, options.artifacts_url, options.auth)
        self._discovery = Discovery(options.runs_dir, options.roots)
        self._descriptors = Descriptors(sensible_limit())
        self._budget = Budget()
        self._watched: dict[Path, WatchedRun] = {}
        self._followed: dict[tuple[UUID | None, str, Path], Followed] = {}
        self._asked: set[Asked] = set()
        self._schedule: list[Followed] = []
        self._waiting: set[Followed] = set()
        self._spools: set[Followed] = set()
        self._to_review: list[Followed] = []
        self._news: set[WatchedRun] = set()
        self._new_directories: list[Path] = []
        self._homeless: list[tuple[Path, str]] = []
        """Directories whose project isn't there, or not yet."""
        self._due: dict[str, float] = {}
        self.trouble: str | None = None

    @property
    def number_of_files(self) -> int:
        """Files that are followed."""
        return len(self._followed)

    # The loop

    async def run(self) -> None:
        """Works while this process holds the directory; another one waits for it."""
        lock = DirectoryLock(self._options.runs_dir)
        try:
            while True:
                if not await self._may_work(lock):
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
            self._descriptors.close_all()
            lock.release()

    async def _may_work(self, lock: DirectoryLock) -> bool:
        if lock.is_held:
            return True
        try:
            self._options.runs_dir.mkdir(parents=True, exist_ok=True)
            if lock.acquire():
                self.trouble = None
                return True
            self.trouble = "another tailer works on this directory"
        except OSError as error:
            self.trouble = str(error)
        return False

    async def _round(self) -> None:
        now = self._clock()
        try:
            await self._find(now)
        except STORAGE_ERRORS as error:
            self._stumble(error)
        has_new = await asyncio.to_thread(self._sweep, now)
        has_sent = await self._ship()
        try:
            await self._ask(self._clock())
        except STORAGE_ERRORS as error:
            self._stumble(error)
        self._measure()
        await asyncio.sleep(0 if has_new and has_sent else self._pause(now))

    def _stumble(self, error: Exception) -> None:
        """Notes what must be waited for, unless this is to end and the error only stands in its place."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from error
        trouble = str(error) or type(error).__name__
        if trouble != self.trouble:
            log.warning("tailer.waits", error=trouble)
        self.trouble = trouble

    def _pause(self, now: float) -> float:
        if self._is_busy():
            return BUSY_SECONDS
        due = self._schedule[0].due if self._schedule else now + self._options.poll_seconds
        return min(max(due - self._clock(), 0.005), self._options.poll_seconds)

    def _is_time(self, what: str, now: float, seconds: float) -> bool:
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + seconds
        return True

    # Finding

    async def _find(self, now: float) -> None:
        if self._is_time("scan", now, SCAN_SECONDS):
            self._new_directories += await asyncio.to_thread(self._discovery.new, now)
        if self._new_directories and self._is_time("open", now, SCAN_SECONDS):
            await self._watch(self._new_directories[:MANY_RUNS], now)
            del self._new_directories[:MANY_RUNS]
        if self._homeless and self._is_time("homeless", now, HOMELESS_SECONDS):
            projects = sorted({project for _, project in self._homeless})
            log.warning("tailer.no_project", projects=projects, directories=len(self._homeless))
            self._new_directories += [path for path, _ in self._homeless]
            self._homeless.clear()
        if self._is_time("asked", now, CURSOR_SECONDS):
            await self._follow_asked()

    async def _watch(self, paths: list[Path], now: float) -> None:
        directories = [RunDirectory(path) for path in paths]
        await asyncio.to_thread(lambda: [each.refresh(now) for each in directories])
        named = [
            (directory, name)
            for directory in directories
            if (name := directory.run_name(self._options.project)) is not None
        ]
        known = await self._server.runs([name for _, name in named])
        opened: list[WatchedRun] = []
        for (directory, name), run in zip(named, known, strict=True):
            if run.project_id is None:
                self._homeless.append((directory.path, name.project))
                continue
            self._watched[directory.path] = WatchedRun(directory, name, run, due=now)
            opened.append(self._watched[directory.path])
            self._expect_news(self._watched[directory.path], now)
        await self._open_sources(opened)

    async def _open_sources(self, watched: Iterable[WatchedRun]) -> None:
        """Follows sources that aren't followed yet, each from its committed cursor."""
        new = [
            (run, source)
            for run in watched
            for source in run.directory.sources()
            if source not in run.tails
        ]
        run_ids = {run.run_id for run, _ in new if run.run_id is not None}
        cursors = await self._server.cursors(run_ids) if run_ids else {}
        for run, source in new:
            if source == SPOOL:
                for tail in run.tails.values():
                    self._drop(tail)
                run.tails.clear()
            sender = self._sender(run, source)
            committed = cursors.get((run.run_id, source)) if run.run_id else None
            path = run.directory.path / source
            run.tails[source] = self._follow(sender, run.run_id, path, committed, run)

    def _sender(self, run: WatchedRun, source: str) -> Sender:
        address = run.name.address(is_known=run.known.run_id is not None)
        if run.known.run_id is not None:
            address = {"run_id": str(run.known.run_id)}
        return Sender(address, source, self._options.auth)

    async def _follow_asked(self) -> None:
        asked = set(await self._server.asked())
        for one in self._asked - asked:
            followed = self._followed.get((one.run_id, one.source, Path(one.path)))
            if followed is not None and followed.watched is None:
                self._drop(followed)
        new = asked - self._asked
        self._asked = asked
        cursors = await self._server.cursors({one.run_id for one in new}) if new else {}
        for one in new:
            path = self._confined(Path(one.path))
            if path is not None and (one.run_id, one.source, path) not in self._followed:
                sender = Sender({"run_id": str(one.run_id)}, one.source, self._options.auth)
                self._follow(sender, one.run_id, path, cursors.get((one.run_id, one.source)))

    def _confined(self, path: Path) -> Path | None:
        """The path with all links of its directories followed, if it then lies beneath a root."""
        try:
            resolved = path.parent.resolve() / path.name
        except (OSError, RuntimeError):
            return None
        if any(resolved.is_relative_to(root.resolve()) for root in self._options.roots):
            return resolved
        log.warning("tailer.path_refused", path=str(path))
        return None

    def _follow(
        self,
        sender: Sender,
        run_id: UUID | None,
        path: Path,
        committed: Committed | None,
        watched: WatchedRun | None = None,
    ) -> Followed:
        is_feed = sender.source.endswith(".jsonl")
        follower = Follower(
            path,
            self._descriptors,
            self._options.limits,
            has_sentinel=not is_feed,
            clock=self._clock,
        )
        follower.resume(committed or Committed())
        tail = Tail(follower, Window(self._budget), sender)
        followed = Followed(tail, sender.source, run_id, path, watched)
        followed.due = self._clock()
        if sender.source == SPOOL:
            followed.is_shared = True
            self._spools.add(followed)
        self._followed[run_id, sender.source, path] = followed
        heapq.heappush(self._schedule, followed)
        return followed

    def _drop(self, followed: Followed) -> None:
        followed.is_gone = True
        followed.tail.window.clear()
        self._descriptors.close(followed.tail.follower)
        self._waiting.discard(followed)
        self._spools.discard(followed)
        self._followed.pop((followed.run_id, followed.source, followed.path), None)

    # Reading and sending

    def _sweep(self, now: float) -> bool:
        """One look at each file that is due; in a worker thread."""
        has_new = False
        looked: list[Followed] = []
        while self._schedule and self._schedule[0].due <= now:
            followed = heapq.heappop(self._schedule)
            if followed.is_gone:
                continue
            if followed.step(now):
                has_new = True
                self._waiting.add(followed)
            looked.append(followed)
        for followed in looked:
            followed.due = now + self._interval(followed, now)
            heapq.heappush(self._schedule, followed)
        return has_new

    def _interval(self, followed: Followed, now: float) -> float:
        follower = followed.tail.follower
        has_more = not follower.exhausted and not follower.missing and follower.trouble is None
        if has_more and not follower.turning and followed.tail.window:
            return 0.0
        return followed.interval(now, self._options.poll_seconds, self._options.wait_seconds)

    async def _ship(self) -> bool:
        unsent = [message for followed in self._waiting for message in followed.tail.unsent()]
        if not unsent:
            return False
        metrics.LINES.inc(sum(message.after.line - message.first.line for message in unsent))
        return await self._shipper.ship(unsent) > 0

    # What the server says

    def _is_busy(self) -> bool:
        """Whether something waits for an acknowledgement to go on."""
        return self._budget.used > self._budget.one // 4 or any(
            followed.tail.follower.turning for followed in self._waiting
        )

    async def _ask(self, now: float) -> None:
        if self._waiting and self._is_time(
            "cursors", now, BUSY_SECONDS if self._is_busy() else CURSOR_SECONDS
        ):
            await self._ask_cursors(list(self._waiting), now)
            await self._rewind(now)
        if self._is_time("shared", now, BUSY_SECONDS * 3):
            await self._ask_shared(now)
        if self._is_time("ended", now, ENDED_SECONDS):
            await self._ask_ended([f for f in self._followed.values() if f.is_lively(now)])
        if self._is_time("review", now, 1.0):
            await self._review(now)
        if self._is_time("directories", now, SCAN_SECONDS):
            await self._look_at_directories(now)
        self.trouble = None

    async def _ask_cursors(self, followed: list[Followed], now: float) -> None:
        await self._resolve(followed)
        run_ids = list({each.run_id for each in followed if each.run_id is not None})
        for first in range(0, len(run_ids), MANY_RUNS):
            part = run_ids[first : first + MANY_RUNS]
            wanted = set(part)
            cursors = await self._server.cursors(part)
            for each in followed:
                if each.run_id in wanted:
                    committed = cursors.get((each.run_id, each.source), Committed())
                    self._acknowledge(each, committed, now)

    def _acknowledge(self, followed: Followed, committed: Committed, now: float) -> None:
        tail = followed.tail
        before, place = len(tail.window.sent), tail.follower.cursor
        tail.committed(committed, now)
        if len(tail.window.sent) < before:
            followed.rewind_seconds = FIRST_REWIND_SECONDS
        if tail.follower.cursor != place:
            followed.is_shared = followed.source == SPOOL
            followed.shared_until = None
        if not tail.window:
            self._waiting.discard(followed)

    async def _resolve(self, followed: list[Followed]) -> None:
        """Learns the ids of runs that their first message has made."""
        unknown = {
            each.watched.directory.path: each.watched
            for each in followed
            if each.watched is not None and each.watched.known.run_id is None
        }
        if not unknown:
            return
        runs = list(unknown.values())
        for run, known in zip(runs, await self._server.runs([r.name for r in runs]), strict=True):
            if known.run_id is None:
                continue
            run.known = known
            for source, each in run.tails.items():
                self._followed.pop((each.run_id, source, each.path), None)
                each.run_id = known.run_id
                each.tail.sender.run = {"run_id": str(known.run_id)}
                self._followed[known.run_id, source, each.path] = each

    async def _ask_shared(self, now: float) -> None:
        """Spools that their writers may be bringing themselves: how far are they?"""
        shared = [each for each in self._spools if each.shared_until is not None]
        if shared:
            await self._ask_cursors(shared, now)
        for followed in shared:
            if followed.shared_until is not None and now >= followed.shared_until:
                followed.is_shared = False
                followed.shared_until = None
                followed.due = now
        if shared:
            heapq.heapify(self._schedule)

    async def _review(self, now: float) -> None:
        """A few of the sources that sleep: has the database gone back, has the run ended?"""
        if not self._to_review:
            self._to_review = list(self._followed.values())
        count = int(len(self._followed) / REVIEW_SECONDS) + 1
        part = [each for each in self._to_review[-count:] if not each.is_gone]
        del self._to_review[-count:]
        await self._ask_cursors(part, now)
        await self._ask_ended(part)

    async def _ask_ended(self, some: list[Followed]) -> None:
        still_open = [each for each in some if each.tail.follower.closed is None and each.run_id]
        if still_open:
            ended = await self._server.ended({each.run_id for each in still_open if each.run_id})
            for each in still_open:
                each.has_ended = each.run_id in ended

    async def _rewind(self, now: float) -> None:
        """Sends again what stands still and is no longer in the stream: it was lost or discarded."""
        for followed in list(self._waiting):
            window = followed.tail.window
            if not window or now - window.still_since < followed.rewind_seconds:
                continue
            first = window.sent[0]
            is_stuck = now - window.still_since > LAST_REWIND_SECONDS
            if first.entry is not None and (is_stuck or not await self._shipper.has(first.entry)):
                metrics.REWINDS.inc()
                window.rewind(now)
                followed.rewind_seconds = min(followed.rewind_seconds * 2, LAST_REWIND_SECONDS)

    # Directories

    async def _look_at_directories(self, now: float) -> None:
        due = [run for run in self._watched.values() if run.due <= now]
        changed = await asyncio.to_thread(self._refresh, due, now)
        await self._open_sources(changed)
        for run in changed:
            self._expect_news(run, now)
        for run in [run for run in self._news if run.news_due <= now][:NEWS_AT_ONCE]:
            await self._bring_news(run, now)

    def _expect_news(self, run: WatchedRun, now: float) -> None:
        """Its status or its artifacts may not be on the server yet."""
        if run.directory.state is not None or run.directory.listing.names & {"artifacts"}:
            run.news_due, run.news_tries = now, 0
            self._news.add(run)

    def _refresh(self, runs: list[WatchedRun], now: float) -> list[WatchedRun]:
        changed: list[WatchedRun] = []
        for run in runs:
            if run.directory.refresh(now):
                changed.append(run)
            is_lively = any(tail.is_lively(now) for tail in run.tails.values())
            run.due = now + (SCAN_SECONDS if is_lively or not run.tails else SLEEPING_SCAN_SECONDS)
            if run.directory.listing.is_missing and run.is_drained:
                self._forget(run)
        return changed

    def _forget(self, run: WatchedRun) -> None:
        for followed in run.tails.values():
            self._drop(followed)
        self._watched.pop(run.directory.path, None)
        self._news.discard(run)

    async def _bring_news(self, run: WatchedRun, now: float) -> None:
        with contextlib.suppress(FileNotFoundError):
            if await self._takeover.bring(run):
                self._news.discard(run)
        run.news_tries += 1
        run.news_due = now + min(2.0**run.news_tries, LAST_REWIND_SECONDS)

    def _measure(self) -> None:
        metrics.FOLLOWED.set(self.number_of_files)
        metrics.OPEN.set(len(self._descriptors))
        metrics.UNACKNOWLEDGED.set(self._budget.used)
