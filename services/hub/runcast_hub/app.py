"""The hub's ASGI app: a request in, a stream out.

Plain ASGI, outside of any wrapping middleware: a stream writes past `send`, to the outlet that our server
offers. Everything that can be refused is refused before the first byte, with problem details; from then
on the stream speaks for itself.
"""

from __future__ import annotations

import random
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

import orjson
import structlog
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from runcast_hub import backfill, filters, metrics
from runcast_hub.access_cache import Permits
from runcast_hub.connections import MAX_BODY_BYTES, Connections
from runcast_hub.hub import Hub
from runcast_hub.snapshot import Snapshot, Snapshots
from runcast_hub.stream_auth import Arrivals, added_headers
from runcast_hub.stream_request import Opening, Start, parse_query
from runcast_hub.subscriber import Gone, Subscriber, gap
from runcast_server import outages
from runcast_server.auth.principal import Authenticator, Principal
from runcast_server.errors import (
    PROBLEM_MEDIA_TYPE,
    Forbidden,
    LimitReached,
    Problem,
    TooLarge,
    Unavailable,
)
from runcast_server.eventlog import frames
from runcast_server.process.http_protocol import take_outlet

SLOT_WAIT_SECONDS = 5.0
RETRY_SECONDS = {
    "shutdown": 5.0,
    "timeout": 2.0,
    "complete": 30.0,
    "deleted": 30.0,
    "revoked": 30.0,
}
"""Within which time clients are asked to return, at random: otherwise they all come back in step."""

log = structlog.get_logger()

_EVENTS = re.compile(r"/projects/([^/]+)/events")
_RUN = re.compile(r"/runs/([^/]+)/stream")
_CONNECTION = re.compile(r"/connections/([^/]+)")
_LISTS = ("/connections", "/admin/connections")


class App:
    """Serves the streams of one hub."""

    def __init__(self, hub: Hub, authenticator: Authenticator) -> None:
        self._hub = hub
        timeout_seconds = hub.settings.sse_connection_timeout_m * 60
        self._arrivals = Arrivals(hub.database, authenticator, timeout_seconds)
        self._connections = Connections(hub)
        self._permits = Permits(hub.database)
        self._snapshots = Snapshots(hub.database.log)

    def handles(self, scope: Scope) -> bool:
        """Whether this request is for a stream, or for the open ones."""
        path, method = scope["path"], scope["method"]
        if method == "GET":
            return path in _LISTS or bool(_EVENTS.fullmatch(path) or _RUN.fullmatch(path))
        return method in ("PATCH", "DELETE") and bool(_CONNECTION.fullmatch(path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if "/connections" in scope["path"]:
                await self._manage(scope, receive, send)
                return
            subscriber = await self._open(scope, receive, send)
        except Problem as problem:
            return await _refuse(scope, send, problem)
        except outages.POSTGRES:
            return await _refuse(scope, send, Unavailable("a backing service can't be reached"))
        try:
            await subscriber.serve()
        finally:
            await self._close(subscriber, send)

    # ------------------------------------------------------------------ before the first byte

    async def _authorize(self, scope: Scope) -> Opening:
        headers = Headers(scope=scope)
        arrival = await self._arrivals.of_stream(scope)
        principal = arrival.principal
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        query = parse_query(dict(pairs), headers.get("last-event-id"))
        if self._hub.is_draining:
            raise Unavailable("this hub is shutting down; connect again")
        if match := _EVENTS.fullmatch(scope["path"]):
            target = await self._permits.project(principal, match[1])
            wanted = filters.parse(query.subscribe_logs)
        else:
            match = _RUN.fullmatch(scope["path"])
            assert match is not None
            target = await self._permits.run(principal, match[1], query.project)
            assert target.run_id is not None
            wanted = filters.of_run(target.run_id)
        arrival.check(target.project_id)
        wanted = replace(wanted, is_guest=principal.share_id is not None)
        return Opening(principal, target.project_id, wanted, query, arrival.headers)

    async def _take_slot(self, opening: Opening) -> None:
        """A place among the caller's streams, counted over all hubs."""
        limit = self._limit(opening.principal)
        wait = SLOT_WAIT_SECONDS if opening.query.position is not None else 0.0
        if not await self._hub.leases.take(opening.principal.limit_name, limit, wait_seconds=wait):
            metrics.REFUSED.inc()
            raise LimitReached(f"at most {limit} streams at once", retry_after_seconds=5)

    def _limit(self, principal: Principal) -> int:
        settings = self._hub.settings
        if principal.key_id is not None:
            return settings.sse_max_connections_per_key
        if principal.share_id is not None:
            return settings.sse_max_connections_per_share_link
        return settings.sse_max_connections_per_user

    # ------------------------------------------------------------------ open streams

    async def _manage(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = await self._arrivals.caller(scope)
        path = scope["path"]
        if path in _LISTS:
            if path.startswith("/admin") and not principal.is_admin:
                raise Forbidden("only an administrator sees everyone's connections")
            found = await self._connections.list(principal, everyone=principal.is_admin)
            return await _answer(scope, send, 200, found)
        match = _CONNECTION.fullmatch(path)
        assert match is not None
        if scope["method"] == "DELETE":
            await self._connections.end(principal, match[1])
            return await _answer(scope, send, 204, None)
        body = await _body(receive)
        changed = await self._connections.change_filter(principal, match[1], body)
        await _answer(scope, send, 200, changed)

    # ------------------------------------------------------------------ the stream

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> Subscriber:
        """A stream whose first bytes are sent. What is only needed for that ends with this call: an
        open stream costs what its subscriber holds."""
        opening = await self._authorize(scope)
        await self._take_slot(opening)
        try:
            room = await self._hub.room(opening.project_id)
            snapshot = await self._snapshots.take(opening.project_id)
            start = opening.start(snapshot)
            await receive()
            headers = [*_headers(snapshot), *opening.headers]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        except BaseException:
            await self._hub.leases.give_back(opening.principal.limit_name)
            raise
        subscriber = Subscriber(
            room,
            f"{self._hub.id}.{secrets.token_urlsafe(12)}",
            opening.principal,
            opening.filter,
            self._hub.timing,
            take_outlet(scope),
            cursor=start.cursor,
            max_lag=self._hub.settings.event_channel_buffer if opening.query.skips_lag else None,
        )
        subscriber.attach()
        self._hub.add(subscriber)
        try:
            await self._begin(subscriber, opening, start, snapshot)
        except Gone:
            subscriber.is_gone = True
        except outages.ANY as error:
            log.warning("stream.given_up", connection=subscriber.connection_id, error=str(error))
            subscriber.end("shutdown")
        except BaseException:
            await self._close(subscriber, send)
            raise
        return subscriber

    async def _close(self, subscriber: Subscriber, send: Send) -> None:
        """The last words, and everything given back."""
        self._hub.remove(subscriber)
        subscriber.detach()
        await self._hub.leases.give_back(subscriber.principal.limit_name)
        reason = subscriber.ending or "shutdown"
        await subscriber.say_bye(
            send, reason, random.randint(500, int(RETRY_SECONDS.get(reason, 5.0) * 1000))
        )

    async def _begin(
        self, subscriber: Subscriber, opening: Opening, start: Start, snapshot: Snapshot
    ) -> None:
        """What comes before the events: `connected`, a gap, backfilled lines, and the position."""
        settings = self._hub.settings
        connected = {
            "connection_id": subscriber.connection_id,
            "project_id": str(opening.project_id),
            "epoch": str(snapshot.epoch),
            "head": snapshot.head,
            "resumed_from": start.resumed_from,
            "active_runs": opening.visible_runs(snapshot),
            "heartbeat_s": settings.sse_heartbeat_interval_s,
            "timeout_m": settings.sse_connection_timeout_m,
        }
        head = frames.control("connected", connected)
        if start.gap_reason is not None:
            metrics.GAPS.labels(start.gap_reason).inc()
            head += gap(opening.project_id, opening.filter, start.gap_reason, 1, start.cursor)
        tailed = opening.tailed_runs(snapshot)
        if not tailed:
            await subscriber.write(head + frames.heartbeat(start.cursor))
            return
        await subscriber.write(head)
        async for chunk in backfill.lines(
            self._hub.database.log, opening.project_id, tailed, opening.query.log_tail, start.cursor
        ):
            await subscriber.write(chunk)
        # Only now: a client that is cut off in the middle of its backfill asks for it again.
        await subscriber.write(frames.heartbeat(start.cursor))


def _headers(snapshot: Snapshot) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
        (b"runcast-head", b"%d" % snapshot.head),
    ]


async def _body(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"at most {MAX_BODY_BYTES} bytes")
        if not message.get("more_body"):
            return body


async def _answer(
    scope: Scope,
    send: Send,
    status: int,
    body: Any,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> None:
    encoded = b"" if body is None else orjson.dumps(body)
    given = {
        "content-type": "application/json",
        "cache-control": "no-store",
        "content-length": str(len(encoded)),
        **headers,
    }
    raw = [(name.lower().encode(), value.encode()) for name, value in given.items()]
    raw += added_headers(scope)
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": encoded})


async def _refuse(scope: Scope, send: Send, problem: Problem) -> None:
    headers = {"content-type": PROBLEM_MEDIA_TYPE, **problem.headers()}
    await _answer(scope, send, problem.status, problem.body(), headers)
