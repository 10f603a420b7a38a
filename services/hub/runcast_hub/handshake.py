"""From a request to a running stream, and back: who asks, a place, the room, and the first frames.

Everything that can be refused is refused before the first byte, with problem details; from then on the
stream speaks for itself. What is only needed to begin ends with `open`: an open stream costs what its
subscriber holds.
"""

from __future__ import annotations

import random
import re
import secrets
from dataclasses import replace

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from runcast_hub import filters, first_frames, slots
from runcast_hub.access_cache import Permits
from runcast_hub.combined import Combined
from runcast_hub.gzip import Gzip
from runcast_hub.hub import Hub
from runcast_hub.room import Room
from runcast_hub.snapshot import Snapshot, Snapshots
from runcast_hub.stream_auth import Arrivals
from runcast_hub.stream_request import (
    MAX_LOG_TAIL_OF_LINKS,
    Opening,
    Start,
    parameters_of,
    parse_query,
)
from runcast_hub.subscriber import Subscriber
from runcast_server import negotiation
from runcast_server.errors import Unavailable
from runcast_server.process.http_protocol import take_outlet

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
_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"vary", b"Accept-Encoding"),
    (b"x-accel-buffering", b"no"),
)
_GZIP = (b"content-encoding", b"gzip")


class Handshake:
    """Opens and ends the streams of one hub that show one project, or one run."""

    def __init__(
        self, hub: Hub, arrivals: Arrivals, permits: Permits, snapshots: Snapshots
    ) -> None:
        self._hub = hub
        self._arrivals = arrivals
        self._permits = permits
        self._snapshots = snapshots

    async def open(self, scope: Scope, receive: Receive, send: Send) -> Subscriber:
        """A stream that has its place and its first frames, ready to `serve`; end it with `close`.

        Raises a `Problem` or what an outage raises before the first byte was sent, and nothing after that.
        """
        hub, opening = self._hub, await self._authorize(scope)
        waits = opening.query.position is not None
        async with (
            slots.taken(hub.leases, hub.settings, opening.principal, waits=waits),
            hub.rooms.opened(opening.project_id) as room,
        ):
            snapshot = await self._snapshots.take(opening.project_id)
            start = opening.start(snapshot)
            await receive()
            headers = [*headers_of(scope), _head(snapshot), *opening.headers]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            subscriber = self._subscriber(scope, room, opening, start)
            subscriber.enter()
            hub.add(subscriber)
        try:
            await first_frames.begin(hub, subscriber, subscriber, opening, start, snapshot)
        except BaseException:
            await close(hub, self._arrivals, subscriber, send)
            raise
        return subscriber

    async def describe(self, scope: Scope, send: Send) -> None:
        """Answers HEAD: what opening the stream would be answered, without opening it."""
        opening = await self._authorize(scope)
        snapshot = await self._snapshots.take(opening.project_id)
        headers = [*headers_of(scope), _head(snapshot), *opening.headers]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _authorize(self, scope: Scope) -> Opening:
        arrival = await self._arrivals.of_stream(scope)
        principal = arrival.principal
        query = parse_query(parameters_of(scope), Headers(scope=scope).get("last-event-id"))
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

    def _subscriber(self, scope: Scope, room: Room, opening: Opening, start: Start) -> Subscriber:
        gzip = Gzip(self._hub.blocks) if takes_gzip(scope) else None
        return Subscriber(
            room,
            new_connection_id(self._hub),
            opening.principal,
            opening.filter,
            self._hub.timing,
            take_outlet(scope),
            cursor=start.cursor,
            max_lag=self._hub.settings.event_channel_buffer if opening.query.skips_lag else None,
            gzip=gzip,
        )


async def close(hub: Hub, arrivals: Arrivals, stream: Subscriber | Combined, send: Send) -> None:
    """Gives everything of a stream back, and says the last words."""
    hub.remove(stream)
    arrivals.limits.count_bytes(stream.principal, stream.bytes_sent())
    stream.leave()
    await hub.leases.give_back(stream.principal.limit_name)
    reason = stream.ending or "shutdown"
    await stream.say_bye(send, reason, _retry_ms(reason, has_neighbours=hub.has_neighbours))


def _retry_ms(reason: str, *, has_neighbours: bool) -> int:
    """When the client is asked to return. Ends by a drain are spread already, so those who find another
    worker at once needn't be spread again."""
    if reason == "shutdown" and has_neighbours:
        return random.randint(100, 500)
    return random.randint(500, int(RETRY_SECONDS.get(reason, 5.0) * 1000))


def new_connection_id(hub: Hub) -> str:
    """An id that no one can guess. It begins with the hub's, which holds the stream."""
    return f"{hub.id}.{secrets.token_urlsafe(12)}"


def headers_of(scope: Scope) -> list[tuple[bytes, bytes]]:
    """What every stream's answer carries."""
    return [*_HEADERS, _GZIP] if takes_gzip(scope) else list(_HEADERS)


def takes_gzip(scope: Scope) -> bool:
    """Whether the client says that it takes gzip, and would not rather have none."""
    accepted = Headers(scope=scope).get("accept-encoding", "")
    return bool(accepted) and negotiation.best(accepted, ("gzip", "identity")) == "gzip"


def _head(snapshot: Snapshot) -> tuple[bytes, bytes]:
    return b"runcast-head", b"%d" % snapshot.head
