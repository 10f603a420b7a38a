"""The whole of a line that was cut, read from its file, as long as that is still there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio.to_thread

from runcast import contract
from runcast_api.logs import owned, query
from runcast_server import beneath
from runcast_server.beneath import Place
from runcast_server.db import Connection
from runcast_server.errors import NotFound
from runcast_server.eventlog.lines import DAMAGED
from runcast_server.run_ownership import RunDirectories, RunIdentity

PIECE_BYTES = 256 * 1024

_SOURCE = """
SELECT s.path, s.is_by_admin, s.generation, s.file FROM runs r
LEFT JOIN log_sources s ON s.run_id = r.id AND s.source = $2
WHERE r.id = $1
"""


@dataclass(frozen=True, slots=True)
class RawLine:
    """Where a line's bytes are, or, for one that wasn't cut, the line itself."""

    text: bytes | None
    place: Place | None = None
    offset: int = 0
    length: int = 0
    file: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """Where files may be read: run directories in `runs_dir`, and what administrators had followed
    beneath the `roots`. `project`: that of run directories that name none."""

    runs_dir: Path
    roots: Sequence[Path]
    project: str


async def find(connection: Connection, run_id: UUID, line_number: int, places: Places) -> RawLine:
    """Where the line is. Raises `NotFound` for a line that isn't there, or whose file can't be known."""
    members = (await query.line(connection, run_id, line_number)).members
    if DAMAGED in members:
        raise NotFound(members["line"])
    cut = members.get("cut")
    if not isinstance(cut, dict):
        return RawLine(members["line"].encode())
    row = await connection.fetchrow(_SOURCE, run_id, members["source"])
    if row is None or row["file"] is None or row["generation"] != members.get("generation", 1):
        raise NotFound("the line's file was replaced since")
    run = await owned.identity(connection, run_id)
    place = await anyio.to_thread.run_sync(_place, row, members["source"], places, run)
    offset, length = cut.get("offset"), cut.get("length")
    if place is None or not isinstance(offset, int) or not isinstance(length, int):
        raise NotFound("it isn't known where the whole line lies")
    return RawLine(None, place, offset, length, row["file"])


def _place(row: Any, source: str, places: Places, run: RunIdentity) -> Place | None:
    """Where the source's file lies: where it was asked for, or in the run's own directory."""
    directories = RunDirectories(places.runs_dir, places.roots, places.project)
    path = Path(row["path"]) if row["path"] else None
    is_own = path is None or directories.is_beneath_own(path, run)
    if is_own and not row["is_by_admin"] and not directories.is_own(run):
        return None
    if path is not None:
        return beneath.followed_file(path, places.runs_dir, places.roots)
    if contract.source_fault(source):
        return None
    home = beneath.run_directory(places.runs_dir, run.name, places.roots)
    return home and Place(home.root, home.path / source)


async def opened(line: RawLine) -> Iterator[bytes]:
    """The line's bytes, piece by piece. Raises `NotFound` where the file is gone or another one."""
    return await anyio.to_thread.run_sync(_open, line)


def _open(line: RawLine) -> Iterator[bytes]:
    assert line.place is not None
    gone = NotFound("the line's file isn't there any more")
    try:
        descriptor = line.place.open()
    except (OSError, ValueError):
        raise gone from None
    found = os.fstat(descriptor)
    known = line.file or {}
    is_same = (found.st_dev, found.st_ino) == (known.get("device"), known.get("inode"))
    has_it = found.st_size >= line.offset + line.length
    if not is_same or not has_it:
        os.close(descriptor)
        raise gone
    return _pieces(descriptor, line.offset, line.length)


def _pieces(descriptor: int, offset: int, left: int) -> Iterator[bytes]:
    try:
        while left > 0 and (piece := os.pread(descriptor, min(left, PIECE_BYTES), offset)):
            yield piece
            offset += len(piece)
            left -= len(piece)
    finally:
        os.close(descriptor)
