"""What an export holds: a run or a project, its artifacts, its events and its lines, as of one head.

Everything is read page by page, each in a short transaction of its own, while the client takes it; so an
export costs flat memory, however large it is, and holds no snapshot. What came after its head isn't in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID

import orjson

from runcast_api.artifacts.store import ArtifactStore
from runcast_api.http.closing import closing
from runcast_api.logs import entries, export, query
from runcast_api.logs.export import Show
from runcast_api.logs.query import Entry, Filter, Log, Window
from runcast_api.runs import history, listing
from runcast_api.runs.history import Wanted
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection, Database
from runcast_server.eventlog import guests
from runcast_server.eventlog.frames import LOG_TYPE
from runcast_server.replica import Standing
from runcast_server.runs import in_milliseconds

PAGE_EVENTS = 1_000
PAGE_RUNS = 200
PAGE_ARTIFACTS = 1_000

Record: TypeAlias = dict[str, Any]
"""One event (`kind` `event`: id, at, type, data) or one line (`kind` `log`: the members of a log entry)."""

_ARTIFACTS = """
SELECT id, run_id, step_name, version, media_type, size, sha256, filename, object_key, created_at
FROM artifacts WHERE run_id = $1 AND (step_name, version) > ($2, $3) ORDER BY step_name, version LIMIT $4
"""
_CONTENT = "SELECT content FROM artifacts WHERE id = $1"


@dataclass(frozen=True, slots=True)
class Source:
    """What is exported, for whom: one run with its `log`, or a project, as it stood `at` the beginning."""

    database: Database
    store: ArtifactStore
    actor: Principal
    project: dict[str, Any]
    at: Standing
    run: dict[str, Any] | None = None
    log: Log | None = None

    @property
    def head(self) -> int:
        """The last event of it."""
        return self.at.head

    @property
    def name(self) -> str:
        """What a file of it is called, without its ending."""
        if self.run is None:
            return str(self.project["slug"])
        return str(self.run["key"] or self.run["id"])


@dataclass(frozen=True, slots=True)
class Artifact:
    """One version of a step's output: what is said of it, and where its content lies if not in its row."""

    shown: dict[str, Any]
    object_key: str | None


async def runs(source: Source) -> AsyncIterator[list[dict[str, Any]]]:
    """The run, or all runs of the project page by page."""
    if source.run is not None:
        yield _visible(source, [source.run])
        return
    wanted = listing.Wanted(UUID(source.project["id"]))
    cursor = None
    while True:
        async with source.database.acting(source.actor) as connection:
            page = await listing.page(connection, source.actor, wanted, PAGE_RUNS, cursor)
        yield _visible(source, page["runs"])
        if (cursor := page["next_cursor"]) is None:
            return


def _visible(source: Source, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if source.actor.share_id is None:
        return found
    shown: list[dict[str, Any]] = orjson.loads(guests.reduced(orjson.dumps(found)))
    return shown


async def artifacts(source: Source, run_id: str) -> list[Artifact]:
    """All versions of a run's artifacts, without their content."""
    found: list[Artifact] = []
    last: tuple[str, int] = ("", 0)
    while True:
        async with source.database.acting(source.actor) as connection:
            rows = await connection.fetch(_ARTIFACTS, UUID(run_id), *last, PAGE_ARTIFACTS)
        found += [_artifact(row) for row in rows]
        if len(rows) < PAGE_ARTIFACTS:
            return found
        last = (rows[-1]["step_name"], rows[-1]["version"])


def _artifact(row: Any) -> Artifact:
    names = ("step_name", "version", "media_type", "size", "sha256", "filename")
    shown = {"id": str(row["id"]), "run_id": str(row["run_id"])}
    shown |= {name: row[name] for name in names}
    return Artifact(shown | {"created_at": in_milliseconds(row["created_at"])}, row["object_key"])


async def content(source: Source, artifact: Artifact) -> AsyncIterator[bytes]:
    """An artifact's content. Raises `Unavailable` where the store doesn't have it."""
    if artifact.object_key is not None:
        async with closing(await source.store.read(artifact.object_key)) as pieces:
            async for piece in pieces:
                yield piece
    else:
        yield await inline_content(source, artifact)


async def inline_content(source: Source, artifact: Artifact) -> bytes:
    """The content that lies in its row; empty for one that was deleted meanwhile."""

    async def read(connection: Connection) -> bytes:
        return await connection.fetchval(_CONTENT, UUID(artifact.shown["id"])) or b""

    return (await source.database.reading(source.actor, source.at, read))[0]


async def events(source: Source) -> AsyncIterator[list[dict[str, Any]]]:
    """The events of a run without its lines, or those of a project with all lines, in order.

    `data` of each is JSON already (`orjson.Fragment`).
    """
    run_id = source.log.run_id if source.log else None
    project_id = UUID(source.project["id"])
    after: int | None = 0
    while after is not None:
        wanted = Wanted(
            project_id, after, source.head + 1, None, run_id, without_lines=run_id is not None
        )
        read = partial(history.page, wanted=wanted, limit=PAGE_EVENTS)
        page, _ = await source.database.reading(source.actor, source.at, read)
        yield history.visible_to(source.actor, page["events"])
        after = page["next_after"]


def lines(source: Source, show: Show) -> AsyncIterator[bytes]:
    """A run's whole log, each line as `show` shows it."""
    assert source.log is not None
    everything = (Window(), Filter())
    return export.whole(
        source.database, source.actor, source.at, source.log, *everything, show, nullcontext
    )


async def records(source: Source) -> AsyncIterator[list[Record]]:
    """All events and lines: of a run the lines last, of a project in order."""
    async for page in events(source):
        yield [_record(event) for event in orjson.loads(orjson.dumps(page))]
    if source.log is None:
        return
    kept: list[Record] = []

    def keep(found: Iterable[Entry]) -> Iterator[bytes]:
        kept.extend({"kind": "log"} | entries.shown(*entry) for entry in found)
        return iter(())

    async with closing(lines(source, keep)) as pieces:
        async for _ in pieces:
            batch, kept[:] = list(kept), ()
            yield batch


def _record(event: dict[str, Any]) -> Record:
    if event["type"] == LOG_TYPE:
        return {"kind": "log"} | entries.shown(event["id"], event["data"])
    return {"kind": "event"} | event


async def find_log(connection: Connection, run_id: UUID) -> Log:
    """The run's log as this transaction sees it."""
    return await query.find(connection, run_id)
