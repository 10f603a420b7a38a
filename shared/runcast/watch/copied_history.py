"""Sessions that begin with another one's records: a fork copies the conversation into a new file.

How copied records are marked isn't documented, so the file says it itself: if the `uuid` of its first message
stands in another session of the same directory that is older, everything that stands there is a copy. A fork
may have been written before its original was written last: where it left the name of its original in what it
copied, it is known to be the fork.
"""

from __future__ import annotations

import mmap
import os
import re
import time
from pathlib import Path

from runcast.watch.line_file import LineFile, open_own

DAYS = 30
_UUID = re.compile(rb'"uuid"\s*:\s*"([0-9a-fA-F-]{36})"')
_SESSION = re.compile(rb'"sessionId"\s*:\s*"([^"]{1,200})"')
_LOOKED_AT = 50
"""Lines at the beginning in which the first message is looked for."""


def copied_from(path: Path) -> str | None:
    """The name of the session's file that this one was forked from; None where it wasn't."""
    try:
        first = _first_id(path)
        if first is None:
            return None
        written = path.stat().st_mtime_ns
        return next(
            (
                other.name
                for other in _older(path, written)
                if _holds(other, first, path.stem.encode())
            ),
            None,
        )
    except OSError:
        return None


def ids_of(path: Path) -> frozenset[str]:
    """The `uuid`s that stand in a session's file; none where it can't be read."""
    try:
        with open(open_own(path), "rb") as file, _mapped(file.fileno()) as content:
            return frozenset(match[1].decode() for match in _UUID.finditer(content))
    except (OSError, ValueError):
        return frozenset()


def _older(path: Path, written_ns: int) -> list[Path]:
    """The sessions beside this one that were written last before it, the newest first."""
    since = time.time_ns() - DAYS * 86_400 * 10**9
    found: list[tuple[int, Path]] = []
    with os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.name.endswith(".jsonl") and entry.name != path.name:
                at = entry.stat(follow_symlinks=False).st_mtime_ns
                if entry.is_file(follow_symlinks=False) and since < at < written_ns:
                    found.append((at, path.parent / entry.name))
    return [other for _, other in sorted(found, reverse=True)]


def _first_id(path: Path) -> bytes | None:
    for number, line in enumerate(LineFile(path).lines(1 << 20)):
        if line.text is not None and (match := _UUID.search(line.text)):
            return match[1]
        if number >= _LOOKED_AT:
            return None
    return None


def _holds(path: Path, uuid: bytes, session_id: bytes) -> bool:
    """Whether the record stands in the file, and isn't marked there as this session's."""
    try:
        with open(open_own(path), "rb") as file, _mapped(file.fileno()) as content:
            place = content.find(b'"' + uuid + b'"')
            if place < 0:
                return False
            start, end = content.rfind(b"\n", 0, place) + 1, content.find(b"\n", place)
            line = content[start : end if end >= 0 else len(content)]
            marked = _SESSION.search(line)
            return marked is None or marked[1] != session_id
    except (OSError, ValueError):
        return False


def _mapped(fd: int) -> mmap.mmap:
    return mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
