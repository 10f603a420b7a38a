"""The files that are followed: those of run directories as they come, and those that were asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from pathlib import Path

import structlog

from runcast.contract import SPOOL_FILE
from runcast_server import beneath
from runcast_tailer.discovery import Discovery
from runcast_tailer.options import Beats, TailerOptions
from runcast_tailer.queries import Asked, Server
from runcast_tailer.reconciler import Takeover
from runcast_tailer.run_directory import RunDirectory
from runcast_tailer.schedule import Tails
from runcast_tailer.scheduled_tail import Followed, WatchedRun

SCAN_SECONDS = 0.5
SLEEPING_SCAN_SECONDS = 3.0
ASKED_SECONDS = 1.0
HOMELESS_SECONDS = 5.0
FIRST_NEWS_SECONDS = 0.5
LAST_NEWS_SECONDS = 60.0
MANY_RUNS = 1_000
NEWS_AT_ONCE = 20

log = structlog.get_logger(__name__)


class Watching:
    """Finds runs, opens their sources, and brings what directories hold besides lines.

    Methods raise database errors as they come, and are then repeated.
    """

    def __init__(
        self, options: TailerOptions, server: Server, takeover: Takeover, tails: Tails
    ) -> None:
        self._options = options
        self._server = server
        self._takeover = takeover
        self._tails = tails
        self._beats = Beats()
        self._discovery = Discovery(options.runs_dir, options.roots)
        self._new: list[Path] = []
        self._homeless: list[tuple[Path, str]] = []
        """Directories whose project isn't there, or not yet."""
        self._watched: dict[Path, WatchedRun] = {}
        self._news: set[WatchedRun] = set()
        self._asked: dict[Asked, Followed | None] = {}

    async def look(self, now: float) -> None:
        """Looks at whatever it's time for."""
        if self._beats.is_time("scan", now, SCAN_SECONDS):
            self._new += await asyncio.to_thread(self._discovery.new, now)
        if self._new and self._beats.is_time("open", now, SCAN_SECONDS):
            await self._watch(self._new[:MANY_RUNS], now)
            del self._new[:MANY_RUNS]
        if self._homeless and self._beats.is_time("homeless", now, HOMELESS_SECONDS):
            projects = sorted({project for _, project in self._homeless})
            log.warning("tailer.no_project", projects=projects, directories=len(self._homeless))
            self._new += [path for path, _ in self._homeless]
            self._homeless.clear()
        if self._beats.is_time("asked", now, ASKED_SECONDS):
            await self._follow_asked()
        if self._beats.is_time("directories", now, SCAN_SECONDS):
            await self._look_at_directories(now)

    # Run directories

    async def _watch(self, paths: list[Path], now: float) -> None:
        directories = [
            RunDirectory(path, self._discovery.homes.get(path))
            for path in paths
            if path not in self._watched
        ]
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
            watched = WatchedRun(directory, name, run, self._options.project, due=now)
            self._watched[directory.path] = watched
            self._expect_news(watched, now)
            opened.append(watched)
        await self._open_sources(opened)

    async def _open_sources(self, runs: Iterable[WatchedRun]) -> None:
        """Follows sources that aren't followed yet, each from its committed cursor."""
        new = [
            (run, source)
            for run in runs
            for source in run.directory.sources()
            if source not in run.tails
        ]
        run_ids = {run.run_id for run, _ in new if run.run_id is not None}
        cursors = await self._server.cursors(run_ids) if run_ids else {}
        for run, source in new:
            if source == SPOOL_FILE:
                self._drop_tails(run)
            committed = cursors.get((run.run_id, source)) if run.run_id else None
            directory = run.directory
            run.tails[source] = self._tails.follow(
                source,
                run.address(),
                run.run_id,
                directory.home / source,
                directory.root,
                committed,
                run,
            )

    async def _look_at_directories(self, now: float) -> None:
        due = [run for run in self._watched.values() if run.due <= now]
        changed = await asyncio.to_thread(self._refresh, due, now)
        await self._open_sources(changed)
        for run in changed:
            self._expect_news(run, now)
        for run in [run for run in self._news if run.news_due <= now][:NEWS_AT_ONCE]:
            await self._bring_news(run, now)

    def _refresh(self, runs: list[WatchedRun], now: float) -> list[WatchedRun]:
        """Those of the runs whose files or status changed; for a worker thread."""
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
        self._drop_tails(run)
        self._watched.pop(run.directory.path, None)
        self._news.discard(run)

    def _drop_tails(self, run: WatchedRun) -> None:
        for followed in run.tails.values():
            self._tails.drop(followed)
        run.tails.clear()

    # What directories hold besides lines

    def _expect_news(self, run: WatchedRun, now: float) -> None:
        """Its status or its artifacts may not be on the server yet."""
        if run.directory.state is not None or "artifacts" in run.directory.listing.names:
            run.news_due, run.news_tries = now, 0
            self._news.add(run)

    async def _bring_news(self, run: WatchedRun, now: float) -> None:
        with contextlib.suppress(FileNotFoundError):
            if await self._takeover.bring(run):
                self._news.discard(run)
        run.news_due = now + min(FIRST_NEWS_SECONDS * 2.0**run.news_tries, LAST_NEWS_SECONDS)
        run.news_tries += 1

    # Files that were asked for

    async def _follow_asked(self) -> None:
        asked = set(await self._server.asked())
        for one in self._asked.keys() - asked:
            followed = self._asked.pop(one)
            if followed is not None:
                self._tails.drop(followed)
        new = asked - self._asked.keys()
        cursors = await self._server.cursors({one.run_id for one in new}) if new else {}
        for one in new:
            place = beneath.followed_file(
                Path(one.path), self._options.runs_dir, self._options.roots
            )
            self._asked[one] = None
            if place is None:
                log.warning("tailer.path_refused", path=one.path)
            elif not self._is_followed(one):
                run = {"run_id": str(one.run_id)}
                committed = cursors.get((one.run_id, one.source))
                self._asked[one] = self._tails.follow(
                    one.source, run, one.run_id, place.path, place.root, committed
                )

    def _is_followed(self, asked: Asked) -> bool:
        """Whether the source is that of a run directory."""
        return any(
            each.run_id == asked.run_id and each.source == asked.source for each in self._tails.all
        )
