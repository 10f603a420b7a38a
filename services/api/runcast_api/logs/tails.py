"""Files that the tailer follows because someone asked: the asking. The following is the tailer's."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from anyio import to_thread
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from runcast_api.http import pagination, totals
from runcast_api.http.fields import NoNul, Source
from runcast_api.http.totals import ESTIMATED
from runcast_api.logs import line_marks
from runcast_server import beneath
from runcast_server.db import Connection
from runcast_server.errors import Conflict, Forbidden, Invalid, NotFound
from runcast_server.eventlog import frames
from runcast_server.eventlog.log import Transaction


class TailNew(BaseModel):
    """Which file to follow, and under which name its lines appear (its own name, if none is given)."""

    model_config = ConfigDict(extra="forbid")

    path: Annotated[str, StringConstraints(min_length=1, max_length=4096), NoNul]
    source: Source | None = None
    zone: Annotated[
        str | None,
        Field(
            max_length=64,
            description="The time zone (IANA, `Europe/Berlin`) of times without an offset in the file.",
        ),
    ] = None

    @field_validator("zone")
    @classmethod
    def is_a_zone(cls, name: str | None) -> str | None:
        """A name of the tz database."""
        if name is not None and not line_marks.is_zone(name):
            raise ValueError("is no time zone (for example Europe/Berlin)")
        return name


class Tail(BaseModel):
    source: str
    path: str | None
    active: bool
    lines: Annotated[int, Field(ge=0)]
    bytes: Annotated[int, Field(ge=0)]
    trouble: Annotated[
        str | None, Field(description="Why the file is not read at present, if it isn't.")
    ] = None
    zone: Annotated[str | None, Field(description="The zone that was named for the file.")] = None


_FOLLOWED = "FROM log_sources WHERE run_id = $1 AND (path IS NOT NULL OR file IS NOT NULL)"


class TailList(BaseModel):
    tails: list[Tail]
    total: int
    total_estimated: bool = ESTIMATED
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Shown:
    """How paths are shown: whole to administrators, to others only as far as they lie in the run's
    directory."""

    directory: Path
    is_admin: bool

    def path(self, stored: str | None) -> str | None:
        """The path as this caller sees it; None where they may not look."""
        if stored is None or self.is_admin:
            return stored
        path = Path(stored)
        if not path.is_relative_to(self.directory):
            return None
        return str(path.relative_to(self.directory))


def own_file(path: str, directory: Path) -> Path:
    """The file that a path names in the run's own directory; it need not be there yet.

    Raises `Forbidden` for one that lies elsewhere: all projects' runs lie beside each other, so only an
    administrator says what else may be followed. Raises `Invalid` where what is there isn't a regular file,
    or is reached through a link.
    """
    given = Path(os.path.normpath(directory / path))
    if given == directory or not given.is_relative_to(directory):
        raise Forbidden(
            "only an administrator may have files outside of the run's directory followed"
        )
    try:
        os.close(beneath.open_file(directory.parent, given))
    except FileNotFoundError:
        refuse_pattern(path)
    except (OSError, ValueError):
        raise Invalid.of("body.path", "not a regular file of the run's directory") from None
    return given


def refuse_pattern(path: str) -> None:
    """A file may be still to come, but one called `*.log` is a mistake. Raises `Invalid`."""
    if any(character in path for character in "*?["):
        raise Invalid.of(
            "body.path", "is a pattern; name each file (`runcast tail` takes patterns)"
        )


def confined(path: str, roots: Sequence[Path]) -> Path:
    """The file that an administrator names, relative ones beneath the first root.

    It need not be there yet. Raises `Forbidden` where it lies outside the roots, once all links on the
    way are followed, and `Invalid` where what is there isn't a regular file or is a link itself.
    """
    given = Path(os.path.normpath(roots[0] / path))
    resolved = given.parent.resolve() / given.name
    if not any(resolved.is_relative_to(root.resolve()) for root in roots):
        raise Forbidden("the path lies outside of the directories that may be read (TAIL_ROOTS)")
    try:
        found = resolved.lstat()
    except FileNotFoundError:
        refuse_pattern(path)
        return resolved
    except (OSError, ValueError):
        raise Invalid.of("body.path", "can't be looked at") from None
    if not stat.S_ISREG(found.st_mode):
        raise Invalid.of("body.path", "not a regular file")
    return resolved


async def start(
    transaction: Transaction,
    project_id: UUID,
    run_id: UUID,
    path: Path,
    source: str,
    shown: Shown,
    zone: str | None = None,
) -> dict[str, Any]:
    """Has the file followed; repeating it changes nothing but the zone, if one is named. Raises `Conflict`
    where this source already follows another file."""
    row = await transaction.connection.fetchrow(
        """INSERT INTO log_sources AS s (run_id, source, project_id, path, is_active, is_by_admin, zone)
           VALUES ($1, $2, $3, $4, true, $5, $6)
           ON CONFLICT (run_id, source) DO UPDATE SET path = $4, is_active = true,
               zone = coalesce($6, s.zone),
               is_by_admin = $5 OR (s.is_by_admin AND s.is_active AND s.path = $4),
               updated_at = now()
               WHERE s.path IS NULL OR s.path = $4 OR NOT s.is_active
           RETURNING source, path, is_active, lines, bytes, zone""",
        run_id,
        source,
        project_id,
        str(path),
        shown.is_admin,
        zone,
    )
    if row is None:
        raise Conflict(f"the source {source!r} follows another file")
    return as_json(row, shown)


async def stop(
    transaction: Transaction, project_id: UUID, run_id: UUID, source: str | None
) -> None:
    """Ends the following of one source, or of all; their logs are closed. Raises `NotFound`."""
    rows = await transaction.connection.fetch(
        """SELECT source, lines, bytes, closed_reason, is_active FROM log_sources
           WHERE run_id = $1 AND path IS NOT NULL AND ($2::text IS NULL OR source = $2)
           ORDER BY source FOR UPDATE""",
        run_id,
        source,
    )
    if source is not None and not rows:
        raise NotFound(f"nothing is followed as {source!r}")
    await transaction.connection.execute(
        """UPDATE log_sources SET is_active = false, updated_at = now(),
               closed_at = coalesce(closed_at, now()),
               closed_reason = coalesce(closed_reason, 'stopped')
           WHERE run_id = $1 AND is_active AND source = ANY($2::text[])""",
        run_id,
        [row["source"] for row in rows],
    )
    for row in rows:
        if row["is_active"] and row["closed_reason"] is None:
            told = {name: row[name] for name in ("source", "lines", "bytes")}
            told["reason"] = "stopped"
            transaction.emit(project_id, frames.event("log:closed", told, run_id=run_id))


async def of_run(
    connection: Connection, run_id: UUID, shown: Shown, limit: int, cursor: str | None
) -> dict[str, Any]:
    """A page of the run's sources that a tailer feeds or fed, with their paths as the caller may see them.
    Raises `Invalid` for a cursor of another query."""
    query = ("tails", run_id)
    after = None if cursor is None else pagination.members(cursor, query, pagination.text)[0]
    total = await totals.of(connection, f"SELECT source {_FOLLOWED}", run_id)
    rows = await connection.fetch(
        f"""SELECT source, path, closed_reason IS NULL AND (is_active OR path IS NULL) AS is_active,
               lines, bytes, zone
           {_FOLLOWED} AND ($2::text IS NULL OR source > $2)
           ORDER BY source LIMIT $3""",
        run_id,
        after,
        limit + 1,
    )
    has_more = len(rows) > limit
    rows = rows[:limit]
    tails = [as_json(row, shown) for row in rows]
    asked = [
        row["path"] if tail["path"] and tail["active"] else None
        for row, tail in zip(rows, tails, strict=True)
    ]
    for tail, trouble in zip(tails, await to_thread.run_sync(_troubles, asked), strict=True):
        tail["trouble"] = trouble
    last = rows[-1]["source"] if has_more else None
    return {"tails": tails, **total, "next_cursor": last and pagination.encode([last], *query)}


def _troubles(paths: Sequence[str | None]) -> list[str | None]:
    return [_trouble(path) if path is not None else None for path in paths]


def _trouble(path: str) -> str | None:
    """Why a tailer that is asked to doesn't read this file now."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return "is not there yet"
    except (OSError, ValueError):
        return "can't be looked at"
    if stat.S_ISLNK(found.st_mode):
        return "is a link, and links are not followed"
    if not stat.S_ISREG(found.st_mode):
        return "is no regular file"
    return None if os.access(path, os.R_OK) else "may not be read"


def as_json(row: Any, shown: Shown) -> dict[str, Any]:
    told = {
        "source": row["source"],
        "path": shown.path(row["path"]),
        "active": row["is_active"],
        "lines": row["lines"],
        "bytes": row["bytes"],
        "trouble": None,
    }
    return told if row["zone"] is None else told | {"zone": row["zone"]}
