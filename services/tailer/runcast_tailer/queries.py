"""What the tailer asks Postgres: runs, committed cursors, and the files that someone wants followed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from runcast.contract import TERMINAL_STATUSES_SQL
from runcast_server.db import Pool, acquire
from runcast_server.run_ownership import RunIdentity
from runcast_tailer.file_identity import Committed, Cursor, FileIdentity
from runcast_tailer.run_directory import RunName

_RUNS = """
SELECT w.place, coalesce(by_id.id, by_key.id) AS run_id, p.id AS project_id,
       coalesce(of_run.slug, p.slug) AS slug,
       coalesce(by_id.project_id, by_key.project_id) AS run_project_id,
       coalesce(by_id.status, by_key.status) AS status,
       coalesce(by_id.directory_speaks, by_key.directory_speaks) AS directory_speaks
FROM unnest($1::int[], $2::uuid[], $3::text[], $4::text[]) AS w (place, run_id, project, key)
LEFT JOIN projects p ON p.slug = w.project AND p.deleted_at IS NULL
LEFT JOIN runs by_id ON by_id.id = w.run_id
LEFT JOIN projects of_run ON of_run.id = by_id.project_id
LEFT JOIN runs by_key ON by_key.project_id = p.id AND by_key.key = w.key AND w.run_id IS NULL
"""
_CURSORS = """
SELECT run_id, source, generation, next_line, next_offset, file, closed_reason, lines, bytes,
       bytes_after_end
FROM log_sources WHERE run_id = ANY($1::uuid[])
"""
_ASKED = """
SELECT s.run_id, s.source, s.path, s.is_by_admin, s.zone, coalesce(r.key, r.id::text) AS name,
       p.id AS project_id, p.slug
FROM log_sources s JOIN runs r ON r.id = s.run_id JOIN projects p ON p.id = r.project_id
WHERE s.is_active AND s.path IS NOT NULL
"""
_ENDED = f"SELECT id FROM runs WHERE id = ANY($1::uuid[]) AND status IN ({TERMINAL_STATUSES_SQL})"
_ARTIFACTS = "SELECT id, step_name, sha256 FROM artifacts WHERE run_id = $1"


@dataclass(frozen=True, slots=True)
class KnownRun:
    """What the server knows: the run, if it's there; the project that it is, or would be, in."""

    run_id: UUID | None
    project_id: UUID | None
    status: str | None
    directory_speaks: bool = True
    """Whether the server takes more than lines from its directory."""
    slug: str | None = None
    """The project's."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A file that is followed because someone asked for it."""

    run_id: UUID
    source: str
    path: str
    is_by_admin: bool
    run: RunIdentity
    zone: str | None = None
    """The time zone of times without an offset, where one was named for this file."""


@dataclass(frozen=True, slots=True)
class KnownArtifact:
    id: UUID
    step_name: str
    sha256: str


Key = tuple[UUID, str]


class Server:
    """Short reads, each one statement. Raises database errors and `Unavailable` as they come."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def runs(self, names: Sequence[RunName]) -> list[KnownRun]:
        """What is known of each run, in the order of the names."""
        rows = await self._fetch(
            _RUNS,
            list(range(len(names))),
            [name.run_id for name in names],
            [name.project for name in names],
            [name.key for name in names],
        )
        known = [KnownRun(None, None, None)] * len(names)
        for row in rows:
            project_id = row["run_project_id"] or row["project_id"]
            known[row["place"]] = KnownRun(
                row["run_id"],
                project_id,
                row["status"],
                row["directory_speaks"] is not False,
                row["slug"],
            )
        return known

    async def cursors(self, run_ids: Iterable[UUID]) -> dict[Key, Committed]:
        """The committed cursors of all sources of these runs."""
        rows = await self._fetch(_CURSORS, list(run_ids))
        return {(row["run_id"], row["source"]): committed_of(row) for row in rows}

    async def asked(self) -> list[Asked]:
        return [_asked(row) for row in await self._fetch(_ASKED)]

    async def ended(self, run_ids: Iterable[UUID]) -> set[UUID]:
        """Those of the runs that have reached a terminal status."""
        return {row["id"] for row in await self._fetch(_ENDED, list(run_ids))}

    async def artifacts(self, run_id: UUID) -> list[KnownArtifact]:
        return [KnownArtifact(*row) for row in await self._fetch(_ARTIFACTS, run_id)]

    async def _fetch(self, query: str, *values: Any) -> list[Any]:
        async with acquire(self._pool) as connection:
            return list(await connection.fetch(query, *values))


def _asked(row: Mapping[str, Any]) -> Asked:
    run = RunIdentity(row["run_id"], row["name"], row["project_id"], row["slug"])
    return Asked(row["run_id"], row["source"], row["path"], row["is_by_admin"], run, row["zone"])


def committed_of(row: Mapping[str, Any]) -> Committed:
    """A source's committed cursor, from its row of `log_sources`."""
    cursor = Cursor(row["generation"], row["next_line"], row["next_offset"])
    file = row["file"] if isinstance(row["file"], dict) else {}
    identity, check = None, None
    if isinstance(file.get("device"), int) and isinstance(file.get("inode"), int):
        identity = FileIdentity(file["device"], file["inode"])
    if file.get("offset") == cursor.offset and isinstance(file.get("fingerprint"), str):
        check = file["fingerprint"] or None
    return Committed(
        cursor, identity, check, row["closed_reason"], row["lines"], row["bytes"],
        row["bytes_after_end"],
    )  # fmt: skip
