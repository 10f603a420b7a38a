"""When a run's own stream is complete: the run is terminal, and every log of it is closed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from runcast.contract import TERMINAL_STATUSES_SQL
from runcast_hub.slices import sliced
from runcast_server.db import Pool, acquire

if TYPE_CHECKING:
    from runcast_hub.room import Room
    from runcast_hub.subscriber import Subscriber

LOOK_SECONDS = 1.0
ALL_TURNS = 5
"""Every how many looks all runs that have a stream are asked about."""

QUIET_SECONDS = 10.0
"""A source that no one closes counts as closed when the run has been terminal and silent for so long."""

_COMPLETE = f"""
SELECT r.id, c.last_seq FROM runs r JOIN project_counters c USING (project_id)
WHERE r.id = ANY($1::uuid[]) AND r.status IN ({TERMINAL_STATUSES_SQL})
  AND (NOT EXISTS (SELECT FROM log_sources s
                   WHERE s.run_id = r.id AND s.closed_at IS NULL AND s.source <> 'api')
       OR greatest(r.heard_at, r.finished_at) < now() - make_interval(secs => $2))
"""


class RunStreams:
    """The streams of single runs, by run; streams of whole projects aren't among them.

    A look asks about runs that something happened to, and about those whose stream has just opened: their
    last event may have come before it.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._streams: dict[bytes, set[Subscriber]] = {}
        self._opened: dict[bytes, float] = {}
        self._turn = 0

    def add(self, subscriber: Subscriber) -> None:
        """Watches the stream's run, where it is the stream of one."""
        run = subscriber.filter.only_run
        if run is not None:
            self._streams.setdefault(run, set()).add(subscriber)
            self._opened[run] = time.monotonic()

    def remove(self, subscriber: Subscriber) -> None:
        """Forgets a stream; one that isn't known changes nothing."""
        run = subscriber.filter.only_run
        if run is None:
            return
        streams = self._streams.get(run, set())
        streams.discard(subscriber)
        if not streams:
            self._streams.pop(run, None)
            self._opened.pop(run, None)

    async def look(self, rooms: Iterable[Room]) -> None:
        """Ends the streams of runs that are complete, once everything was sent."""
        self._turn += 1
        asked = self._streams.keys() if self._turn % ALL_TURNS == 0 else self._changed(rooms)
        for runs in sliced(asked):
            for run_id, seq in (
                await complete(self._pool, [UUID(bytes=run) for run in runs])
            ).items():
                for subscriber in self._streams.get(run_id.bytes, ()):
                    subscriber.finish(seq)

    def _changed(self, rooms: Iterable[Room]) -> set[bytes]:
        changed = set(self._opened)
        for room in rooms:
            changed |= room.touched_runs & self._streams.keys()
            room.touched_runs.clear()
        old = time.monotonic() - 2 * LOOK_SECONDS
        self._opened = {run: at for run, at in self._opened.items() if at > old}
        return changed


async def complete(pool: Pool, run_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Those of the runs that are complete, each with the number up to which its events must be sent."""
    async with acquire(pool) as connection:
        rows = await connection.fetch(_COMPLETE, list(run_ids), QUIET_SECONDS)
    return {row["id"]: row["last_seq"] for row in rows}
