"""The whole of a line that was cut, read from its file, as long as that is still there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio.to_thread
import orjson

from runcast_server.db import Connection
from runcast_server.errors import NotFound

PIECE_BYTES = 256 * 1024

_LINE = """
SELECT e.data::text AS data, s.path, s.generation, s.file, r.id, r.key
FROM events e JOIN runs r ON r.id = e.run_id
LEFT JOIN log_sources s ON s.run_id = e.run_id AND s.source = $3
WHERE e.run_id = $1 AND e.line_number = $2
"""


@dataclass(frozen=True, slots=True)
class RawLine:
    """Where a line's bytes are, or, for one that wasn't cut, the line itself."""

    text: bytes | None
    path: Path | None = None
    offset: int = 0
    length: int = 0
    file: dict[str, Any] | None = None


async def find(connection: Connection, run_id: UUID, line_number: int, runs_dir: Path) -> RawLine:
    """Where the line is. Raises `NotFound` for a line that isn't there, or whose file can't be known."""
    absent = NotFound(f"no line {line_number}")
    data = await connection.fetchval(
        "SELECT data::text FROM events WHERE run_id = $1 AND line_number = $2", run_id, line_number
    )
    if data is None:
        raise absent
    members = orjson.loads(data)
    cut = members.get("cut")
    if not cut:
        return RawLine(members["line"].encode())
    row = await connection.fetchrow(_LINE, run_id, line_number, members["source"])
    if row["file"] is None or row["generation"] != members.get("generation", 1):
        raise NotFound("the line's file was replaced since")
    directory = runs_dir / (row["key"] or str(row["id"]))
    path = Path(row["path"]) if row["path"] else directory / members["source"]
    return RawLine(None, path, cut["offset"], cut["length"], row["file"])


async def opened(line: RawLine, roots: Sequence[Path]) -> Iterator[bytes]:
    """The line's bytes, piece by piece. Raises `NotFound` where the file is gone or another one."""
    return await anyio.to_thread.run_sync(_open, line, roots)


def _open(line: RawLine, roots: Sequence[Path]) -> Iterator[bytes]:
    assert line.path is not None
    path = line.path.parent.resolve() / line.path.name
    gone = NotFound("the line's file isn't there any more")
    if not any(path.is_relative_to(root.resolve()) for root in roots):
        raise gone
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise gone from None
    found = os.fstat(descriptor)
    known = line.file or {}
    is_same = (found.st_dev, found.st_ino) == (known.get("device"), known.get("inode"))
    has_it = found.st_size >= line.offset + line.length
    if not stat.S_ISREG(found.st_mode) or not is_same or not has_it:
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
