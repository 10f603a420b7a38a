"""A project's events as pages of JSON: the same numbers and the same data as in its stream."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import structlog
from pydantic import BaseModel

from runcast_server.auth.principal import Principal
from runcast_server.db import Connection
from runcast_server.errors import Invalid, NotFound
from runcast_server.eventlog import guests, history, segments
from runcast_server.eventlog.history import Kind
from runcast_server.eventlog.segments import LOG_TYPE, Damaged, Segment
from runcast_server.eventlog.stored import Part
from runcast_server.runs import in_milliseconds

LAST = 2**63 - 1
_POSITION = "SELECT last_seq, floor_seq FROM project_counters WHERE project_id = $1"
TYPES = 50
"""Event types that one request may name at most."""

SCAN_SECONDS = 2.0
"""How long one request looks for events of its types; then it answers what it has, and where to go on."""

log = structlog.get_logger()


class EventShown(BaseModel):
    """One event: `id` is its number, `at` the time of its commit."""

    id: int
    at: str
    type: str
    data: dict[str, Any]


class EventPage(BaseModel):
    """Events in order, oldest first. `floor` is the highest number that retention has dropped;
    `next_after` is where to go on, null at the end. With `before` alone it is `next_before`, null at the
    beginning; such a page may be empty where events of its types are rare."""

    events: list[EventShown]
    floor: int
    next_after: int | None
    next_before: int | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events of a project: numbered above `after` and below `before`, of types, of a run, with or
    without log lines.

    With `before` alone they are the last ones below it.
    """

    project_id: UUID
    after: int | None = None
    before: int | None = None
    types: Sequence[str] | None = None
    run_id: UUID | None = None
    without_lines: bool = False


def types_of(types: Sequence[str] | None) -> list[str] | None:
    """Types of events; None: all. Raises `Invalid` for too many."""
    if types is not None and len(types) > TYPES:
        raise Invalid.of("query.types", f"more than {TYPES} types")
    return list(types) if types else None


async def page(connection: Connection, wanted: Wanted, limit: int) -> dict[str, Any]:
    """One page of events, of at least one. Raises `NotFound` where the project is gone, or this caller's
    right to read it."""
    row = await connection.fetchrow(_POSITION, wanted.project_id)
    if row is None:
        raise NotFound("the project was deleted, or you may read it no longer")
    head, floor = row["last_seq"], row["floor_seq"]
    after = max(wanted.after or 0, floor)
    before = head + 1 if wanted.before is None else min(wanted.before, head + 1)
    from_end = wanted.before is not None and wanted.after is None
    next_after: int | None = None
    next_before: int | None = None
    if from_end:
        shown, next_before = await _last(connection, wanted, after, before, limit)
    else:
        shown, next_after = await _first(connection, wanted, after, before, limit)
    return {
        "events": shown,
        "floor": floor,
        "next_after": next_after,
        "next_before": next_before,
    }


def visible_to(caller: Principal, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events without those about questions and messages, and with less of what runs need, where the
    caller holds a share link."""
    if caller.share_id is None:
        return events
    return [
        event | {"data": orjson.Fragment(guests.reduced(orjson.dumps(event["data"])))}
        for event in events
        if not event["type"].startswith(guests.HIDDEN_FROM_GUESTS)
    ]


async def _first(
    connection: Connection, wanted: Wanted, after: int, before: int, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    shown: list[dict[str, Any]] = []
    end = time.monotonic() + SCAN_SECONDS
    while after < before - 1:
        found = await history.read(
            connection, wanted.project_id, None, after, before - 1, _kind(wanted), wanted.run_id
        )
        shown += _shown(found.parts, wanted)
        after = found.upto
        if len(shown) >= limit:
            return shown[:limit], shown[limit - 1]["id"]
        if time.monotonic() > end:
            return shown, after
    return shown, None


async def _last(
    connection: Connection, wanted: Wanted, after: int, before: int, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    shown: list[dict[str, Any]] = []
    end = time.monotonic() + SCAN_SECONDS
    while before > after + 1:
        found = await history.read_back(
            connection, wanted.project_id, after, before, _kind(wanted), wanted.run_id
        )
        shown = _shown(found.parts, wanted) + shown
        before = found.down_to
        if len(shown) >= limit:
            return shown[-limit:], shown[-limit]["id"]
        if time.monotonic() > end and before > after + 1:
            return shown, before
    return shown, None


def _kind(wanted: Wanted) -> Kind:
    """Which segments may hold such events: of a run or all, with or without its lines."""
    has_lines = not wanted.without_lines and (wanted.types is None or LOG_TYPE in wanted.types)
    only_lines = has_lines and wanted.types == [LOG_TYPE]
    if wanted.run_id is not None:
        return (
            history.LINES_OF_RUN
            if only_lines
            else (history.OF_RUN if has_lines else history.EVENTS_OF_RUN)
        )
    return history.LINES if only_lines else history.ALL if has_lines else history.NO_LINES


def _shown(parts: Sequence[Part], wanted: Wanted) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for segment, at in parts:
        moment = in_milliseconds(at)
        for seq, (type, data) in enumerate(_datas(segment), segment.first):
            if wanted.types is None or type in wanted.types:
                shown.append({"id": seq, "at": moment, "type": type, "data": orjson.Fragment(data)})
    return shown


def _datas(segment: Segment) -> Sequence[tuple[str, bytes]]:
    """Type and data of each event; of a segment that can't be read, what says so of each."""
    try:
        return segments.datas(segment)
    except Damaged as error:
        log.error("segment.damaged", error=str(error))
        told = orjson.dumps({"from": segment.first, "to": segment.last, "reason": "damaged"})
        return [("gap", told)] * segment.length
