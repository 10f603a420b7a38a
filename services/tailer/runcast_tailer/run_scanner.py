"""The files that are followed: those of run directories as they come, and those that were asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from pathlib import Path

import structlog

from runcast.contract import SPOOL_FILE
from runcast_server import beneath, owners
from runcast_server.run_ownership import RunDirectories
from runcast_tailer.discovery import Discovery
from runcast_tailer.file_identity import Committed
from runcast_tailer.guard import Guard, is_of_server
from runcast_tailer.options import Beats, TailerOptions
from runcast_tailer.queries import Asked, KnownRun, Server
from runcast_tailer.reconciler import Takeover
from runcast_tailer.run_directory import RunDirectory, RunName
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
        self._owned = RunDirectories(options.runs_dir, options.roots, options.project)
        self._new: list[Path] = []
        self._homeless: list[tuple[Path, str]] = []
        """Directories whose project isn't there, or not yet."""
        self._shut_out: set[Path] = set()
        """Directories whose owner may not speak for their project; each is told of once."""
        self._failed: list[Path] = []
        """Directories that couldn't be looked at."""
        self._guard = Guard("run directory")
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
        if (self._homeless or self._failed) and self._beats.is_time(
            "homeless", now, HOMELESS_SECONDS
        ):
            self._try_again()
        if self._beats.is_time("asked", now, ASKED_SECONDS):
            await self._follow_asked()
        if self._beats.is_time("directories", now, SCAN_SECONDS):
            await self._look_at_directories(now)

    def _try_again(self) -> None:
        """Directories that couldn't be followed are as new once more."""
        if self._homeless:
            projects = sorted({project for _, project in self._homeless})
            log.warning("tailer.no_project", projects=projects, directories=len(self._homeless))
        self._new += [path for path, _ in self._homeless] + self._failed
        self._homeless.clear()
        self._failed.clear()

    # Run directories

    async def _watch(self, paths: list[Path], now: float) -> None:
        named = await asyncio.to_thread(self._named, paths, now)
        opened: list[WatchedRun] = []
        for directory, name, run in await self._known(named):
            if run.project_id is None:
                self._homeless.append((directory.path, name.project))
                continue
            if self._may_speak(directory, run) is not True:
                self._failed.append(directory.path)
                continue
            watched = WatchedRun(directory, name, run, self._options.project, due=now)
            self._watched[directory.path] = watched
            self._expect_news(watched, now)
            opened.append(watched)
        await self._open_sources(opened)

    def _named(self, paths: list[Path], now: float) -> list[tuple[RunDirectory, RunName]]:
        """The directories with whose run they are; for a worker thread."""
        named: list[tuple[RunDirectory, RunName]] = []
        for path in dict.fromkeys(paths):
            if path in self._watched:
                continue
            self._failed.append(path)
            with self._guard.item(path):
                directory = RunDirectory(path, self._discovery.homes.get(path))
                directory.refresh(now)
                if (name := directory.run_name(self._options.project)) is not None:
                    named.append((directory, name))
                self._failed.pop()
        return named

    def _may_speak(self, directory: RunDirectory, run: KnownRun) -> bool | None:
        """Whether the directory's owner may speak for the run's project; None where that can't be seen."""
        with self._guard.item(directory.path), contextlib.suppress(FileNotFoundError):
            if owners.may_speak(self._options.owners, directory.home, run.slug):
                return True
            if directory.path not in self._shut_out:
                self._shut_out.add(directory.path)
                log.warning("tailer.not_its_owners", path=str(directory.path), project=run.slug)
            return False
        return None

    async def _known(
        self, named: list[tuple[RunDirectory, RunName]]
    ) -> list[tuple[RunDirectory, RunName, KnownRun]]:
        """With what the server knows of each. Where it can't be asked for all of them together, it is asked
        for one after another."""
        try:
            known = await self._server.runs([name for _, name in named])
        except Exception as error:
            if is_of_server(error):
                raise
        else:
            return [(*each, run) for each, run in zip(named, known, strict=True)]
        found: list[tuple[RunDirectory, RunName, KnownRun]] = []
        for directory, name in named:
            self._failed.append(directory.path)
            with self._guard.item(directory.path):
                [run] = await self._server.runs([name])
                found.append((directory, name, run))
                self._failed.pop()
        return found

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
            path = directory.home / source
            with self._guard.item(path):
                run.tails[source] = self._tails.follow(
                    source, run.address(), run.run_id, path, directory.root, committed, run
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
            is_lively = any(tail.is_lively(now) for tail in run.tails.values())
            run.due = now + (SCAN_SECONDS if is_lively or not run.tails else SLEEPING_SCAN_SECONDS)
            with self._guard.item(run.directory.path):
                if run.directory.refresh(now):
                    changed.append(run)
                if run.directory.listing.is_missing:
                    # Its open files are read to their end, whichever run's directory it was.
                    if run.is_drained:
                        self._forget(run)
                elif self._may_speak(run.directory, run.known) is False:
                    self._forget(run)  # another one came in its place
                    self._failed.append(run.directory.path)
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
        run.news_due = now + min(FIRST_NEWS_SECONDS * 2.0**run.news_tries, LAST_NEWS_SECONDS)
        run.news_tries += 1
        with self._guard.item(run.directory.path), contextlib.suppress(FileNotFoundError):
            if await self._takeover.bring(run):
                self._news.discard(run)

    # Files that were asked for

    async def _follow_asked(self) -> None:
        asked = set(await asyncio.to_thread(self._readable, await self._server.asked()))
        for one in self._asked.keys() - asked:
            followed = self._asked.pop(one)
            if followed is not None:
                self._tails.drop(followed)
        new = asked - self._asked.keys()
        cursors = await self._server.cursors({one.run_id for one in new}) if new else {}
        for one in new:
            self._asked[one] = None
            with self._guard.item(one.path):
                self._asked[one] = self._ask(one, cursors.get((one.run_id, one.source)))

    def _readable(self, asked: Iterable[Asked]) -> list[Asked]:
        """Those that may be read, for a worker thread. Each is looked at every time: a directory may still
        come, and say later whose it is, or that it's another run's."""
        readable: list[Asked] = []
        for one in asked:
            with self._guard.item(one.path):
                is_named = self._owned.is_beneath_own(Path(one.path), one.run)
                if one.is_by_admin or not is_named or self._owned.is_own(one.run):
                    readable.append(one)
        return readable

    def _ask(self, one: Asked, committed: Committed | None) -> Followed | None:
        place = beneath.followed_file(Path(one.path), self._options.runs_dir, self._options.roots)
        if place is None:
            log.warning("tailer.path_refused", path=one.path)
            return None
        if self._is_followed(one):
            return None
        run = {"run_id": str(one.run_id)}
        return self._tails.follow(
            one.source, run, one.run_id, place.path, place.root, committed, zone=one.zone
        )

    def _is_followed(self, asked: Asked) -> bool:
        """Whether the source is that of a run directory."""
        return any(
            each.run_id == asked.run_id and each.source == asked.source for each in self._tails.all
        )
