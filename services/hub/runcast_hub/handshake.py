"""From a request to a running stream, and back: who asks, a place, the room, and the first frames.

Everything that can be refused is refused before the first byte, with problem details; from then on the
stream speaks for itself. What is only needed to begin ends with `open`: an open stream costs what its
subscriber holds.
"""

from __future__ import annotations

import contextlib
import random
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import parse_qsl

import orjson
import structlog
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from runcast_hub import backfill, filters, metrics
from runcast_hub.access_cache import Permits
from runcast_hub.chunks import CHUNK_BYTES
from runcast_hub.hub import Hub
from runcast_hub.room import Room
from runcast_hub.snapshot import Snapshot, Snapshots
from runcast_hub.stream_auth import Arrivals
from runcast_hub.stream_request import MAX_LOG_TAIL_OF_LINKS, Opening, Start, parse_query
from runcast_hub.subscriber import Gone, Subscriber, gap
from runcast_server import outages
from runcast_server.auth.principal import Principal
from runcast_server.errors import LimitReached, Unavailable
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
EVENTS = re.compile(r"/projects/([^/]+)/events")
RUN = re.compile(r"/runs/([^/]+)/stream")

log = structlog.get_logger()


class Handshake:
    """Opens and ends the streams of one hub."""

    def __init__(self, hub: Hub, arrivals: Arrivals) -> None:
        self._hub = hub
        self._arrivals = arrivals
        self._permits = Permits(hub.database)
        self._snapshots = Snapshots(hub.database.log)

    async def open(self, scope: Scope, receive: Receive, send: Send) -> Subscriber:
        """A stream that has its place and its first frames, ready to `serve`; end it with `close`.

        Raises a `Problem` or what an outage raises before the first byte was sent, and nothing after that.
        """
        opening = await self._authorize(scope)
        async with self._slot(opening), self._hub.rooms.opened(opening.project_id) as room:
            snapshot = await self._snapshots.take(opening.project_id)
            start = opening.start(snapshot)
            await receive()
            headers = [*_headers(snapshot), *opening.headers]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            subscriber = self._subscriber(scope, room, opening, start)
            subscriber.enter()
            self._hub.add(subscriber)
        try:
            await self._begin(subscriber, opening, start, snapshot)
        except BaseException:
            await self.close(subscriber, send)
            raise
        return subscriber

    async def describe(self, scope: Scope, send: Send) -> None:
        """Answers HEAD: what opening the stream would be answered, without opening it."""
        opening = await self._authorize(scope)
        snapshot = await self._snapshots.take(opening.project_id)
        headers = [*_headers(snapshot), *opening.headers]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def close(self, subscriber: Subscriber, send: Send) -> None:
        """Gives everything back, and says the last words."""
        self._hub.remove(subscriber)
        sent = subscriber.room.bytes_sent(subscriber)
        self._arrivals.limits.count_bytes(subscriber.principal, sent)
        subscriber.leave()
        await self._hub.leases.give_back(subscriber.principal.limit_name)
        reason = subscriber.ending or "shutdown"
        await subscriber.say_bye(
            send, reason, random.randint(500, int(RETRY_SECONDS.get(reason, 5.0) * 1000))
        )

    # ------------------------------------------------------------------ before the first byte

    async def _authorize(self, scope: Scope) -> Opening:
        headers = Headers(scope=scope)
        arrival = await self._arrivals.of_stream(scope)
        principal = arrival.principal
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        named = dict(pairs)
        if several := [value for name, value in pairs if name == "subscribe_logs"]:
            named["subscribe_logs"] = ",".join(several)
        query = parse_query(named, headers.get("last-event-id"))
        if self._hub.is_draining:
            raise Unavailable("this hub is shutting down; connect again")
        if match := EVENTS.fullmatch(scope["path"]):
            target = await self._permits.project(principal, match[1])
            wanted = filters.parse(query.subscribe_logs)
        else:
            match = RUN.fullmatch(scope["path"])
            assert match is not None
            target = await self._permits.run(principal, match[1], query.project)
            assert target.run_id is not None
            wanted = filters.of_run(target.run_id)
        arrival.check(target.project_id)
        if principal.share_id is not None:
            wanted = replace(wanted, is_guest=True)
            query = replace(query, log_tail=min(query.log_tail, MAX_LOG_TAIL_OF_LINKS))
        return Opening(principal, target.project_id, wanted, query, arrival.headers)

    @contextlib.asynccontextmanager
    async def _slot(self, opening: Opening) -> AsyncIterator[None]:
        """A place among the caller's streams, counted over all hubs; given back if the block fails."""
        name, limit = opening.principal.limit_name, self._limit(opening.principal)
        wait = SLOT_WAIT_SECONDS if opening.query.position is not None else 0.0
        if not await self._hub.leases.take(name, limit, wait_seconds=wait):
            metrics.REFUSED.inc()
            raise LimitReached(f"at most {limit} streams at once", retry_after_seconds=5)
        try:
            yield
        except BaseException:
            await self._hub.leases.give_back(name)
            raise

    def _limit(self, principal: Principal) -> int:
        settings = self._hub.settings
        if principal.key_id is not None:
            return settings.sse_max_connections_per_key
        if principal.share_id is not None:
            return settings.sse_max_connections_per_share_link
        return settings.sse_max_connections_per_user

    def _subscriber(self, scope: Scope, room: Room, opening: Opening, start: Start) -> Subscriber:
        return Subscriber(
            room,
            f"{self._hub.id}.{secrets.token_urlsafe(12)}",
            opening.principal,
            opening.filter,
            self._hub.timing,
            take_outlet(scope),
            cursor=start.cursor,
            max_lag=self._hub.settings.event_channel_buffer if opening.query.skips_lag else None,
        )

    # ------------------------------------------------------------------ the first frames

    async def _begin(
        self, subscriber: Subscriber, opening: Opening, start: Start, snapshot: Snapshot
    ) -> None:
        """Sends what comes before the events. A client that goes, or storage that goes away, ends the
        stream; it is never half begun."""
        try:
            await self._send_first(subscriber, opening, start, snapshot)
        except Gone:
            subscriber.is_gone = True
        except outages.ANY as error:
            log.warning("stream.given_up", connection=subscriber.connection_id, error=str(error))
            subscriber.end("shutdown")

    async def _send_first(
        self, subscriber: Subscriber, opening: Opening, start: Start, snapshot: Snapshot
    ) -> None:
        """`connected`, a gap, backfilled lines, and the position."""
        settings = self._hub.settings
        connected = {
            "connection_id": subscriber.connection_id,
            "project_id": str(opening.project_id),
            "epoch": str(snapshot.epoch),
            "head": snapshot.head,
            "resumed_from": start.resumed_from,
            "active_runs_complete": snapshot.is_complete,
            "heartbeat_s": settings.sse_heartbeat_interval_s,
            "timeout_m": settings.sse_connection_timeout_m,
        }
        # The runs are the same bytes for everyone: a client that doesn't read them holds no copy.
        runs = opening.visible_runs(snapshot)
        before = b'event: connected\ndata: %b,"active_runs":' % orjson.dumps(connected)[:-1]
        if len(runs) > CHUNK_BYTES:
            await subscriber.write(before)
            await subscriber.write(runs)
            head = b"}\n\n"
        else:
            head = before + runs + b"}\n\n"
        if start.gap_reason is not None:
            metrics.GAPS.labels(start.gap_reason).inc()
            head += gap(opening.project_id, opening.filter, start.gap_reason, 1, start.cursor)
        tailed = opening.tailed_runs(snapshot)
        if not tailed:
            await subscriber.write(head + frames.heartbeat(start.cursor))
            return
        await subscriber.write(head)
        async for chunk in backfill.last_lines(
            self._hub.database.log, opening.project_id, tailed, opening.query.log_tail, start.cursor
        ):
            if subscriber.ending is not None:
                return
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
