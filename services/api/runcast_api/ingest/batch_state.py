"""What one transaction of the ingester knows: runs, sources of lines, and what changes in them.

Everything is locked before anything is applied, in the one order (sources, runs), and stored after
everything is applied; the counters come last of all, in the statement that takes the numbers. Between
the two, messages are applied one after another against what is held here.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

from runcast_api.ingest import guard
from runcast_api.ingest.messages import Refused
from runcast_api.logs import sources as log_sources
from runcast_api.logs.sources import Source, SourceKey
from runcast_server.db import Connection
from runcast_server.errors import Problem
from runcast_server.eventlog.frames import Event, Lines
from runcast_server.eventlog.log import Transaction

_LOCK_RUNS = """
SELECT id, project_id, last_line_number, directory_speaks FROM runs WHERE id = ANY($1)
ORDER BY id FOR NO KEY UPDATE
"""
_SAVE_RUNS = """
UPDATE runs r SET last_line_number = n.last_line_number,
                  heard_at = greatest(r.heard_at, clock_timestamp())
FROM unnest($1::uuid[], $2::bigint[]) AS n (id, last_line_number) WHERE r.id = n.id
"""
_SAVE = f"WITH saved AS ({log_sources.SAVE}) {_SAVE_RUNS.replace('$1', '$11').replace('$2', '$12')}"
"""Both in one round trip: this is what happens a hundred times a second."""


@dataclass(eq=False, slots=True)
class Run:
    """A run that this transaction touches; `last_line_number` moves as lines are added."""

    id: UUID
    project_id: UUID
    last_line_number: int
    directory_speaks: bool
    """Whether files of a run directory may change the run. One that was made elsewhere takes lines of them
    and no more, until a caller who may report it says that it has a directory."""
    has_moved: bool = False
    """Something was reported since it was stored."""

    def take_line_numbers(self, count: int) -> int:
        """Takes this many line numbers; answers the one before the first."""
        base = self.last_line_number
        self.last_line_number += count
        return base


class Scope:
    """The state of one transaction, locked, and the events that it will store."""

    def __init__(self, transaction: Transaction, *, is_careful: bool = False) -> None:
        self.transaction = transaction
        self.is_careful = is_careful
        """Each message has a savepoint of its own, and whatever it raises refuses it alone: slow, for
        batches that failed without."""
        self.runs: dict[UUID, Run] = {}
        self.sources: dict[SourceKey, Source] = {}
        self._sources_of: dict[UUID, list[SourceKey]] = {}
        self._saved: list[Run] = []
        """Runs whose place was stored, once for each time: with a savepoint that is taken back, it isn't."""
        self._after_commit: list[Callable[[], None]] = []

    def after_commit(self, action: Callable[[], None]) -> None:
        """Does something once the batch is committed, and not at all if it isn't."""
        self._after_commit.append(action)

    def committed(self) -> None:
        """The batch is committed."""
        for action in self._after_commit:
            action()

    @property
    def connection(self) -> Connection:
        return self.transaction.connection

    def emit(self, run: Run, *events: Event | Lines) -> None:
        self.transaction.emit(run.project_id, *events)
        run.has_moved = True

    async def lock(self, runs: dict[UUID, UUID], sources: Iterable[SourceKey]) -> None:
        """Locks sources and runs. `runs` maps each run to its project; one that is gone stays out."""
        wanted = {key: runs[key.run_id] for key in sources}
        if wanted:
            self.sources = await log_sources.lock(self.connection, wanted.items())
        for key in self.sources:
            self._sources_of.setdefault(key.run_id, []).append(key)
        if runs:
            rows = await self.connection.fetch(_LOCK_RUNS, list(runs))
            self.runs = {row["id"]: Run(*row) for row in rows}

    @contextlib.asynccontextmanager
    async def guarded(self, run: Run | None = None) -> AsyncIterator[None]:
        """Takes back what one message changed if it fails, which is about this run at most. Where care is
        taken, whatever it raised, other than a storage that is away, becomes `Refused`."""
        if not self.is_careful:
            yield
            return
        take_back = self._remembered(run)
        try:
            async with self.connection.transaction():
                yield
        except BaseException as error:
            take_back()
            if not isinstance(error, Exception) or isinstance(error, (Problem, Refused)):
                raise
            if guard.is_storage_away(error):
                raise
            raise Refused(guard.reason(error)) from error

    def _remembered(self, run: Run | None) -> Callable[[], None]:
        """What brings back the state of now: events, the run and its sources, and what is done after the
        commit."""
        before = self.transaction.mark()
        number_of_actions, number_of_saved = len(self._after_commit), len(self._saved)
        objects: list[Source | Run] = []
        if run is not None:
            objects = [run, *(self.sources[key] for key in self._sources_of.get(run.id, ()))]
        copies = [copy.copy(each) for each in objects]

        def take_back() -> None:
            self.transaction.take_back(before)
            del self._after_commit[number_of_actions:]
            for each, kept in zip(objects, copies, strict=True):
                for name in type(each).__slots__:
                    setattr(each, name, getattr(kept, name))
            for saved in self._saved[number_of_saved:]:
                saved.has_moved = True
            del self._saved[number_of_saved:]

        return take_back

    async def save(self) -> None:
        """Stores where sources and runs now stand: the last thing before the numbers are taken."""
        sources = [source for source in self.sources.values() if source.has_changed]
        moved = [run for run in self.runs.values() if run.has_moved]
        if sources and moved:
            ids, numbers = [run.id for run in moved], [run.last_line_number for run in moved]
            await self.connection.execute(_SAVE, *log_sources.columns(sources), ids, numbers)
        else:
            await log_sources.save(self.connection, sources)
            await self.save_runs()

    async def save_runs(self) -> None:
        """Stores line numbers and that runs were heard of; a handler that reads a run calls this first."""
        moved = [run for run in self.runs.values() if run.has_moved]
        if moved:
            await self.connection.execute(
                _SAVE_RUNS, [run.id for run in moved], [run.last_line_number for run in moved]
            )
        for run in moved:
            run.has_moved = False
        self._saved += moved
