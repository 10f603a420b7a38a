"""What a new stream is told first: the project's active runs, and the head at which that is so.

Both come from one statement: two statements would disagree under load. Clients that connect together
share one query, whatever their projects: a caller that comes while one is under way waits for the next, so
a snapshot is never older than its request. Of a project whose head has not moved since the last
snapshot only the head is read: every visible change is an event.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

import orjson
import structlog

from runcast_hub.coalesce import Together
from runcast_server import runs
from runcast_server.db import Pool, acquire
from runcast_server.errors import NotFound

log = structlog.get_logger()

MAX_RUNS = 1000
AT_ONCE = 32
"""Projects in one query at most: each may have `MAX_RUNS` active runs."""
KEPT_BYTES = 16 * 1024 * 1024
RUNS_BYTES = 512 * 1024
"""The runs of one snapshot as JSON; further ones are left out, and `is_complete` says so."""
MEMBER_BYTES = 4 * 1024
"""A member of a run that is larger is left out, and the run's `omitted` names it."""
LARGE_MEMBERS = ("input", "result", "metadata", "error", "progress", "usage", "labels")
"""What a reporter may fill as it likes."""

_LARGE = {
    name: f"(pg_column_size({name}) > {MEMBER_BYTES // 2} OR octet_length({name}::text) > {MEMBER_BYTES})"
    for name in LARGE_MEMBERS
}
"""The size as it is stored is looked at first: it costs nothing, and only what is small is unpacked."""
_COLUMNS = ", ".join(
    f"CASE WHEN {_LARGE[name]} THEN NULL ELSE {name} END AS {name}" if name in _LARGE else name
    for name in runs.MEMBERS
)
_OMITTED = ", ".join(f"CASE WHEN {large} THEN '{name}' END" for name, large in _LARGE.items())
_ACTIVE = f"""
SELECT c.project_id AS project, c.last_seq AS head, c.epoch AS epoch, r.*
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS known (project_id, epoch, head)
JOIN project_counters c USING (project_id)
JOIN projects p ON p.id = c.project_id AND p.deleted_at IS NULL
LEFT JOIN LATERAL (
    SELECT {_COLUMNS}, array_remove(ARRAY[{_OMITTED}], NULL) AS omitted FROM runs
    WHERE runs.project_id = c.project_id AND {runs.IS_ACTIVE}
        AND (c.last_seq, c.epoch) IS DISTINCT FROM (known.head, known.epoch)
    ORDER BY created_at DESC, id DESC LIMIT {MAX_RUNS} + 1
) r ON true
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The active runs of a project, in the state that its events up to `head` left."""

    epoch: int
    head: int
    active_runs: list[dict[str, Any]]
    encoded_runs: bytes
    """The same as JSON, once for all who are told."""
    is_complete: bool
    """Whether these are all active runs. Else they are the newest ones."""

    @classmethod
    def of(cls, epoch: int, head: int, active_runs: list[dict[str, Any]]) -> Snapshot:
        """As many of the runs, newest first, as may be shown."""
        encoded: list[bytes] = []
        size = 0
        for run in active_runs[:MAX_RUNS]:
            encoded.append(orjson.dumps(run))
            size += len(encoded[-1])
            if size > RUNS_BYTES:
                encoded.pop()
                break
        shown = active_runs[: len(encoded)]
        is_complete = len(shown) == len(active_runs)
        return cls(epoch, head, shown, b"[" + b",".join(encoded) + b"]", is_complete)


class Snapshots:
    """Snapshots of any project, one query for all who ask at the same time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._asked: Together[UUID, Snapshot] = Together(self._read, AT_ONCE)
        self._kept: OrderedDict[UUID, Snapshot] = OrderedDict()
        self._kept_bytes = 0

    async def take(self, project_id: UUID) -> Snapshot:
        """A snapshot no older than this call. Raises `NotFound`, `Unavailable`."""
        return await self._asked.ask(project_id)

    async def _read(self, project_ids: Sequence[UUID]) -> Mapping[UUID, Snapshot | Exception]:
        known = {project_id: self._kept.get(project_id) for project_id in project_ids}
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(
                _ACTIVE,
                project_ids,
                [one and one.epoch for one in known.values()],
                [one and one.head for one in known.values()],
            )
        answers: dict[UUID, Snapshot | Exception] = {
            project_id: NotFound(f"no project {project_id}") for project_id in project_ids
        }
        for project_id, found in groupby(rows, itemgetter("project")):
            try:
                answers[project_id] = self._taken(project_id, known[project_id], list(found))
            except Exception as error:
                # What is wrong with one project's runs keeps no stream of another one from opening.
                log.error("snapshot.failed", project=str(project_id), exc_info=error)
                answers[project_id] = error
        return answers

    def _taken(self, project_id: UUID, known: Snapshot | None, rows: list[Any]) -> Snapshot:
        epoch, head = rows[0]["epoch"], rows[0]["head"]
        if known is not None and (known.epoch, known.head) == (epoch, head):
            return known
        active = [_as_json(row) for row in rows if row["id"] is not None]
        snapshot = Snapshot.of(epoch, head, active)
        self._keep(project_id, snapshot)
        return snapshot

    def _keep(self, project_id: UUID, snapshot: Snapshot) -> None:
        self._forget(project_id)
        self._kept[project_id] = snapshot
        self._kept_bytes += _size(snapshot)
        while self._kept_bytes > KEPT_BYTES:
            self._forget(next(iter(self._kept)))

    def _forget(self, project_id: UUID) -> None:
        snapshot = self._kept.pop(project_id, None)
        if snapshot is not None:
            self._kept_bytes -= _size(snapshot)


def _as_json(row: Any) -> dict[str, Any]:
    run = runs.as_json(row)
    if row["omitted"]:
        for name in row["omitted"]:
            del run[name]
        run["omitted"] = row["omitted"]
    return run


def _size(snapshot: Snapshot) -> int:
    """About what a snapshot costs: its runs as JSON, and as dictionaries some four times as much."""
    return 500 + 5 * len(snapshot.encoded_runs)
