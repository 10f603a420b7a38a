"""A part of a representation: `Range` with one range of bytes (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import Request

from runcast_api.http import entity_tags
from runcast_api.http.closing import closing
from runcast_server.errors import Problem

_RANGE = re.compile(r"bytes=\s*([0-9]{0,40})\s*-\s*([0-9]{0,40})\s*", re.IGNORECASE)


class RangeNotSatisfiable(Problem):
    """A range that begins beyond the end; `Content-Range` says how long the whole is."""

    status = 416
    type = "range-not-satisfiable"
    title = "The range lies beyond the end"

    def __init__(self, size: int) -> None:
        super().__init__(f"there are {size:,} bytes", extra={"size": size})
        self._size = size

    def headers(self) -> dict[str, str]:
        return {"Content-Range": f"bytes */{self._size}"}


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes from `start` to before `end` of `size`."""

    start: int
    end: int
    size: int

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Content-Range": f"bytes {self.start}-{self.end - 1}/{self.size}",
            "Content-Length": str(self.end - self.start),
        }


def is_asked(request: Request, tag: str | None = None) -> bool:
    """Whether a part is asked for: one range, of the version that `If-Range` names. Several ranges at once,
    other units, and what can't be read are answered with the whole, as the RFC allows."""
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if wanted is None or wanted[1] == wanted[2] == "":
        return False
    if wanted[1] and wanted[2] and int(wanted[2]) < int(wanted[1]):
        return False
    version = request.headers.get("if-range")
    return version is None or (
        tag is not None and entity_tags.is_listed(version, tag, weak=False) and version != "*"
    )


def part_of(request: Request, size: int) -> Part:
    """The part of a whole of this size that `is_asked` for. Raises `RangeNotSatisfiable`."""
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    assert wanted is not None
    first, last = wanted[1], wanted[2]
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    if start >= end:
        raise RangeNotSatisfiable(size)
    return Part(start, end, size)


async def cut(pieces: AsyncIterator[bytes], start: int, end: int) -> AsyncIterator[bytes]:
    """The bytes from `start` to before `end` of what comes in pieces."""
    place = 0
    async with closing(pieces):
        async for piece in pieces:
            kept = piece[max(start - place, 0) : max(end - place, 0)]
            place += len(piece)
            if kept:
                yield kept
            if place >= end:
                return
