"""What the sender of a `lines` message says beside its lines, checked: marks of lines, the file, the time.

All of it ends up in what others read, so nothing goes through that isn't known: a mark of an unknown name
would be a member of the stored event, and could pass itself off as another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

LINE_BYTES = 256 * 1024
"""One line at most; a longer one is cut. It travels through the memory of every hub."""
FIRST_YEAR, LAST_YEAR = 1970, 9998
"""A time outside of these is a program's word for none: Go's and .NET's smallest, a file without a time."""

_Count = Annotated[int, Field(ge=0, lt=2**62)]


class Extent(BaseModel):
    """Bytes of the file that a line came from."""

    model_config = ConfigDict(extra="ignore")

    offset: _Count | None = None
    length: _Count


class LineMarks(BaseModel):
    """What is odd about a line: only its beginning was kept, its bytes weren't UTF-8, its bytes are lost."""

    model_config = ConfigDict(extra="ignore")

    cut: Extent | None = None
    invalid_utf8: bool | None = None
    lost: Extent | None = None

    def members(self) -> dict[str, Any]:
        """Those that are set."""
        return self.model_dump(exclude_none=True)


class FileMark(BaseModel):
    """The file whose lines these are, and what proves that it is still the same."""

    model_config = ConfigDict(extra="ignore")

    device: Annotated[int, Field(ge=0, lt=2**64)] | None = None
    inode: Annotated[int, Field(ge=0, lt=2**64)] | None = None
    fingerprint: Annotated[str, Field(max_length=200)] | None = None
    offset: _Count | None = None


def unplaced(marks: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The marks without where the bytes begin: how much was cut or lost, but not where it can be read."""
    return {
        place: {
            name: {"length": mark["length"]} if isinstance(mark, dict) else mark
            for name, mark in of_line.items()
        }
        for place, of_line in marks.items()
    }


def moment(at: datetime | None, zone: str | None = None) -> datetime:
    """The time of lines that name none; now, where the sender gave none that can be meant. With a `zone`
    it carries that zone's rules, by which times without an offset are read on both sides of a change of
    the clocks."""
    if at is None or not FIRST_YEAR <= at.year <= LAST_YEAR:
        return datetime.now(UTC)
    placed = at if at.tzinfo else at.replace(tzinfo=UTC)
    rules = _rules(zone) if zone else None
    return placed.astimezone(rules) if rules else placed


def is_zone(name: str) -> bool:
    """Whether this machine knows a time zone of this name."""
    return _rules(name) is not None


@lru_cache(maxsize=64)
def _rules(zone: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        return None  # no such zone


def cut(
    texts: Sequence[str], marks: dict[int, dict[str, Any]], first_offset: int
) -> tuple[Sequence[str], dict[int, dict[str, Any]]]:
    """The lines, none longer than `LINE_BYTES`, and the marks, which then name those that were cut."""
    if max(map(len, texts), default=0) <= LINE_BYTES // 4:
        return texts, marks
    kept, marks, offset = list(texts), dict(marks), first_offset
    for place, text in enumerate(texts):
        encoded = text.encode()
        if len(encoded) > LINE_BYTES:
            kept[place] = encoded[:LINE_BYTES].decode(errors="ignore")
            extent = {"offset": offset, "length": len(encoded)}
            marks[place] = {"cut": extent} | marks.get(place, {})
        offset += len(encoded) + 1
    return kept, marks
