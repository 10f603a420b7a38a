"""The open streams as things of their own: listed, given another filter, ended.

The one who opened a stream may do this, and an administrator; for others the connection doesn't exist. The
hub that is asked need not be the one that holds the stream."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

import orjson

from runcast._support import times
from runcast_hub import filters, run_homes
from runcast_hub.combined import Combined
from runcast_hub.filters import Filter
from runcast_hub.hub import Hub
from runcast_hub.stream_request import MAX_LOG_TAIL
from runcast_hub.subscriber import FilterChange, Subscriber
from runcast_server.auth.principal import Principal
from runcast_server.errors import Conflict, Invalid, NotFound, Unavailable

MAX_BODY_BYTES = 64 * 1024
APPLY_SECONDS = 4.0
MOST_LISTED = 1_000
_MONOTONIC_BEGAN = time.time() - time.monotonic()
"""Read once: what a connection is sorted by is the same in every answer."""

Stream: TypeAlias = Subscriber | Combined


class Connections:
    """The requests for connections, answered for all hubs."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def list(
        self, principal: Principal, parameters: Mapping[str, str], *, everyone: bool
    ) -> dict[str, Any]:
        """The caller's connections on all hubs, or everyone's, newest first: all of them, or a page where
        `limit` is asked for. Raises `Invalid`.

        Holders of a share link are one caller and several people: they see none, and reach by its id, which
        no one can guess, the one that they opened.
        """
        limit, before = _limit(parameters.get("limit")), _place(parameters.get("cursor"))
        if principal.share_id is not None:
            return {"connections": [], "total": 0, "next_cursor": None}
        owner = None if everyone else principal.limit_name
        answers = await self._hub.control.ask_all({"kind": "list", "owner": owner})
        found = [connection for answer in answers for connection in answer["connections"]]
        found.sort(key=_order, reverse=True)
        page = [each for each in found if before is None or _order(each) < before][:limit]
        has_more = bool(page) and _order(page[-1]) != _order(found[-1])
        next_cursor = _cursor(page[-1]) if has_more else None
        return {"connections": page, "total": len(found), "next_cursor": next_cursor}

    async def change_filter(
        self, principal: Principal, connection_id: str, body: bytes
    ) -> dict[str, Any]:
        """Gives a connection another log filter; answers when it is in force."""
        wanted, backfill_lines = parse_change(body)
        request = {
            "kind": "filter",
            "subscribe_logs": wanted.as_parameter(),
            "backfill_lines": backfill_lines,
        }
        return await self._ask(principal, connection_id, request)

    async def end(self, principal: Principal, connection_id: str) -> None:
        """Ends a connection; its client may come back."""
        await self._ask(principal, connection_id, {"kind": "end"})

    async def _ask(
        self, principal: Principal, connection_id: str, request: dict[str, Any]
    ) -> dict[str, Any]:
        hub_id, dot, _ = connection_id.partition(".")
        if not dot or not hub_id.isalnum():
            raise NotFound(f"no connection {connection_id!r}")
        owner = None if principal.is_admin else principal.limit_name
        request |= {"connection_id": connection_id, "owner": owner}
        if not await self._hub.control.lives(hub_id):
            raise NotFound(f"no connection {connection_id!r}")
        return await self._hub.control.ask(hub_id, request)


def _order(connection: Mapping[str, Any]) -> tuple[str, str]:
    """What lists are sorted by. A hub of an older version doesn't say when a stream was opened."""
    return connection.get("opened_at", ""), connection["connection_id"]


def _cursor(connection: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(_order(connection))).decode().rstrip("=")


def _place(cursor: str | None) -> tuple[str, str] | None:
    """Where the page before ended. Raises `Invalid`."""
    if cursor is None:
        return None
    try:
        opened_at, id = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return opened_at + "", id + ""
    except (ValueError, TypeError):
        raise Invalid.of("query.cursor", "this is not a cursor of this query") from None


def _limit(text: str | None) -> int | None:
    """How many at most. Raises `Invalid`."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= MOST_LISTED):
        raise Invalid.of("query.limit", f"a whole number from 1 to {MOST_LISTED:,}")
    return int(text)


async def answer(hub: Hub, request: dict[str, Any]) -> dict[str, Any]:
    """Serves a request about the streams that this hub holds."""
    owner = request["owner"]
    if request["kind"] == "list":
        mine = [s for s in hub.subscribers.values() if owner in (None, s.principal.limit_name)]
        return {"connections": [describe(subscriber, hub.id) for subscriber in mine]}
    stream = hub.subscribers.get(request["connection_id"])
    if stream is None or owner not in (None, stream.principal.limit_name):
        raise NotFound(f"no connection {request['connection_id']!r}")
    if request["kind"] == "end":
        stream.end("revoked")
        return {}
    return await _change(hub, stream, request)


async def _change(hub: Hub, stream: Stream, request: dict[str, Any]) -> dict[str, Any]:
    named = request["subscribe_logs"]
    wanted = Filter(all_logs=True) if named == "all" else filters.of_runs(named or ())
    parts = {part.room.project_id: part for part in stream.parts}
    if not parts:
        raise NotFound(f"no connection {stream.connection_id!r}")
    if any(part.filter.only_run is not None for part in parts.values()):
        raise Conflict("this is the stream of one run; its filter doesn't change")
    if any(part.filter.is_guest for part in parts.values()):
        wanted = replace(wanted, is_guest=True)
    narrowed = dict.fromkeys(parts, wanted)
    if isinstance(stream, Combined):
        narrowed = await run_homes.narrow(hub.database.log, wanted, list(parts))
    changes = {
        project_id: FilterChange(one, request["backfill_lines"], hub.database.log)
        for project_id, one in narrowed.items()
    }
    for project_id, change in changes.items():
        parts[project_id].change_filter(change)
    after = await _applied(changes)
    return {
        "subscribe_logs": wanted.as_parameter() or [],
        "effective_after": after if isinstance(stream, Combined) else next(iter(after.values())),
    }


async def _applied(changes: Mapping[UUID, FilterChange]) -> dict[str, int]:
    """The number from which each change counts. A part that ended meanwhile has none."""
    waiting = [change.effective_after for change in changes.values()]
    _, late = await asyncio.wait(waiting, timeout=APPLY_SECONDS)
    if late:
        raise Unavailable("the connection takes no data now; the filter will follow")
    applied = {
        str(project_id): change.effective_after.result()
        for project_id, change in changes.items()
        if not change.effective_after.cancelled()
    }
    if not applied:
        raise Conflict("another change of the filter came after this one")
    return applied


def describe(stream: Stream, hub_id: str) -> dict[str, Any]:
    """A connection as lists show it. `lag` is in events; `bytes` were handed to the socket, in `coding`."""
    principal, parts = stream.principal, stream.parts
    one = parts[0] if len(parts) == 1 and not isinstance(stream, Combined) else None
    only_run = one is not None and one.filter.only_run is not None
    named = [part.filter.as_parameter() for part in parts]
    return {
        "connection_id": stream.connection_id,
        "user": principal.name,
        "user_id": str(principal.user_id) if principal.user_id else None,
        "project_id": str(one.room.project_id) if one else None,
        "project_ids": [str(part.room.project_id) for part in parts],
        "run_id": str(one.filter.run_ids[0]) if one and only_run else None,
        "subscribe_logs": None if only_run else _together(named),
        "lag": sum(max(0, part.room.head - part.position) for part in parts),
        "bytes": stream.bytes_sent(),
        "coding": "gzip" if stream.gzip else None,
        "opened_at": times.to_milliseconds(_wall(stream.connected_at)),
        "age_s": round(time.monotonic() - stream.connected_at, 1),
        "hub": hub_id,
    }


def _wall(monotonic: float) -> datetime:
    return datetime.fromtimestamp(_MONOTONIC_BEGAN + monotonic, UTC)


def _together(named: Sequence[list[str] | str | None]) -> list[str] | str | None:
    """The filters of all parts, as `subscribe_logs` would say them."""
    if "all" in named:
        return "all"
    return sorted({run for each in named if isinstance(each, list) for run in each}) or None


def parse_change(body: bytes) -> tuple[Filter, int]:
    """The filter and the number of lines to backfill. Raises `Invalid` naming the field."""
    try:
        members = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid.of("body", f"not JSON: {error}") from None
    if not isinstance(members, dict) or "subscribe_logs" not in members:
        raise Invalid.of("subscribe_logs", 'a list of run ids, or "all"')
    named = members["subscribe_logs"]
    backfill_lines = members.get("backfill_lines", 0)
    is_number = isinstance(backfill_lines, int) and not isinstance(backfill_lines, bool)
    if not is_number or not 0 <= backfill_lines <= MAX_LOG_TAIL:
        raise Invalid.of("backfill_lines", f"a number from 0 to {MAX_LOG_TAIL}")
    if named == "all":
        return Filter(all_logs=True), backfill_lines
    if not isinstance(named, list) or not all(isinstance(item, str) for item in named):
        raise Invalid.of("subscribe_logs", 'a list of run ids, or "all"')
    return filters.of_runs(named), backfill_lines
