"""Cursors of lists: opaque, and good only for the query that they came from."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Query

from runcast_server.errors import Invalid, Problem

Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
CursorText = Annotated[
    str | None,
    Query(max_length=512, description="`next_cursor` of the page before, of the same query."),
]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of a list that is sorted by time and id ends."""

    at: datetime
    id: UUID


def after(place: Place, *query: Any) -> str:
    """The cursor for what comes after `place` in the list that `query` describes."""
    return encode([place.at.isoformat(), str(place.id)], *query)


def read(cursor: str | None, *query: Any) -> Place | None:
    """The place that a cursor names. Raises `Invalid` for one that isn't of this very query."""
    if cursor is None:
        return None
    at, id = members(cursor, query, moment, UUID)
    return Place(at, id)


def members(cursor: str, query: tuple[Any, ...], *readers: Callable[[Any], Any]) -> list[Any]:
    """What a cursor holds, each member through its reader. Raises `Invalid` for a cursor of another query,
    and for one that someone wrote: no member passes that its reader and Postgres don't take."""
    return read_each(decode(cursor, *query), readers)


def read_each(values: Sequence[Any], readers: Sequence[Callable[[Any], Any]]) -> list[Any]:
    """The values through their readers. Raises `Invalid`."""
    try:
        return [read(value) for read, value in zip(readers, values, strict=True)]
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise refusal() from None


def whole(value: Any) -> int:
    """A number that fits into a bigint. Raises `ValueError`."""
    if not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise ValueError("no whole number")
    return int(value)


def text(value: Any) -> str:
    """A text that a column can hold. Raises `ValueError`."""
    if not isinstance(value, str) or "\x00" in value:
        raise ValueError("no text")
    return value


def real(value: Any) -> float:
    """A finite number. Raises `ValueError`, `TypeError`."""
    if isinstance(value, bool) or not math.isfinite(value):
        raise ValueError("no number")
    return float(value)


def moment(value: Any) -> datetime:
    """A time of the calendar in every zone. Raises `ValueError`, `TypeError`."""
    at = datetime.fromisoformat(value)
    if at.tzinfo is None or not 1 < at.year < 9999:
        raise ValueError("no moment")
    return at


def encode(members: list[Any], *query: Any) -> str:
    """A cursor that holds `members`, for this query."""
    packed = orjson.dumps([_fingerprint(query), *members])
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode(cursor: str, *query: Any) -> list[Any]:
    """What `encode` packed. Raises `Invalid` for a cursor that isn't of this very query."""
    try:
        unpacked = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        fingerprint, *members = unpacked
    except (ValueError, TypeError, binascii.Error):
        raise refusal() from None
    if fingerprint != _fingerprint(query):
        raise refusal()
    return list(members)


def refusal() -> Problem:
    """What a cursor that can't be used is answered."""
    return Invalid.of("query.cursor", "this is not a cursor of this query")


def _fingerprint(query: tuple[Any, ...]) -> str:
    return hashlib.sha256(repr(query).encode()).hexdigest()[:16]
