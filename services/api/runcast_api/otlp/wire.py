"""What an export request holds, whichever form it came in."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

Json = dict[str, Any]

DEPTH = 32
"""Values are nested so deep at most; deeper ones are left out."""
MOST_NANOSECONDS = 2**64 - 1
TRACE_CHARACTERS, SPAN_CHARACTERS = 32, 16


class BadItem(Exception):
    """A record or span that can't be taken; says why. It costs itself alone."""


class Unreadable(Exception):
    """A body that is no export request at all."""


class Record(NamedTuple):
    """A log record. Times in nanoseconds since 1970, 0 where none was given; ids in hex, or empty."""

    time: int
    severity: int
    severity_text: str
    event_name: str
    body: Any
    attributes: Json
    trace_id: str
    span_id: str


class SpanEvent(NamedTuple):
    time: int
    name: str
    attributes: Json


class Span(NamedTuple):
    """A span that has ended."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start: int
    end: int
    attributes: Json
    has_failed: bool
    message: str
    events: tuple[SpanEvent, ...]


class Bundle(NamedTuple):
    """Records or spans of one resource and scope."""

    resource: Json
    scope: str
    items: list[Any]


@dataclass
class Refused:
    """Items of a request that weren't taken, and why the first of them wasn't."""

    count: int = 0
    why: str = ""

    def add(self, why: str, count: int = 1) -> None:
        self.count += count
        self.why = self.why or why


@dataclass
class Export:
    """A request as it was read."""

    bundles: list[Bundle] = field(default_factory=list)
    refused: Refused = field(default_factory=Refused)

    def __iter__(self) -> Iterator[Bundle]:
        return iter(self.bundles)


@functools.lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat("T", "seconds")[:-6]


def moment(nanoseconds: int) -> str | None:
    """The time as it is shown; None where none was given."""
    if not nanoseconds:
        return None
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1_000_000:03d}Z"


def milliseconds(span: Span) -> int:
    """How long a span took."""
    return max(span.end - span.start, 0) // 1_000_000
