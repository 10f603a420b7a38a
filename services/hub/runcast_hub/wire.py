"""A stream's connection: its outlet, its time, its end. What is sent on it is the business of the kinds of
streams, `Subscriber` (one project) and `Combined` (several).

A frame is never cut by another: each writer waits for the socket before each chunk, and no one else
writes meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from starlette.types import Send

from runcast_hub import chunks, metrics
from runcast_hub.gzip import Gzip
from runcast_hub.timer_wheel import Wheel, jittered
from runcast_server.auth.principal import Principal
from runcast_server.eventlog import frames
from runcast_server.process.http_protocol import Outlet, as_chunk

WRITE_SECONDS = 60.0
"""How long one chunk may wait for a socket; a laptop that sleeps longer resumes from its cursor."""
LAST_WORDS_SECONDS = 2.0


class Gone(Exception):
    """The client went away, or doesn't take what it is sent."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The timers of a hub's streams, shared by all of them."""

    wheel: Wheel
    heartbeat_seconds: float
    lifetime_seconds: float


class Wire:
    """See the module. Its methods run in the event loop's thread."""

    __slots__ = (
        "_wakeup",
        "bytes_before",
        "connected_at",
        "connection_id",
        "ending",
        "gzip",
        "is_gone",
        "outlet",
        "principal",
        "timing",
    )

    def __init__(
        self,
        connection_id: str,
        principal: Principal,
        timing: Timing,
        outlet: Outlet,
        gzip: Gzip | None = None,
    ) -> None:
        self.connection_id = connection_id
        self.principal = principal
        self.timing = timing
        self.outlet = outlet
        self.gzip = gzip
        """Set where the client takes gzip."""
        self.ending: str | None = None
        self.is_gone = False
        self.bytes_before = 0
        """Bytes that were handed to the socket by this stream alone."""
        self.connected_at = time.monotonic()
        self._wakeup: asyncio.Future[None] | None = None

    # ------------------------------------------------------------------ time

    def is_open(self) -> bool:
        """Whether the stream has begun and not ended."""
        raise NotImplementedError

    def beat(self) -> None:
        """Sends the stream's own heartbeat, where it has one and needs it."""

    def on_time(self) -> None:
        """What the wheel calls: the end of the stream's time, or its heartbeat; and sets the next one."""
        if not self.is_open():
            return  # It ended: the wheel forgets it.
        remaining, reason = self._remaining()
        if remaining <= 0:
            self.end(reason)
            return
        # First of all: a beat that fails must not be the last look at the stream's time.
        self.timing.wheel.after(min(self.timing.heartbeat_seconds, remaining), self)
        self.beat()

    def start_timing(self) -> None:
        """Sets the first time on the wheel; at random, so that clients that came together don't beat
        together."""
        remaining, _ = self._remaining()
        self.timing.wheel.after(jittered(min(self.timing.heartbeat_seconds, remaining)), self)

    def _remaining(self) -> tuple[float, str]:
        """Seconds until the stream's time is up, and what ends it then."""
        lifetime = self.connected_at + self.timing.lifetime_seconds - time.monotonic()
        expires = self.principal.expires_at
        if expires is not None and (left := expires.timestamp() - time.time()) < lifetime:
            return left, "token_expired"
        return lifetime, "timeout"

    # ------------------------------------------------------------------ its end

    def end(self, reason: str) -> None:
        """Asks the stream to end with `bye`; the first reason stands."""
        if self.ending is None:
            self.ending = reason
            self.wake()

    def wake(self) -> None:
        """Makes the stream's task look at its state."""
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    async def say_bye(self, send: Send, reason: str, retry_ms: int) -> None:
        """The last frames of a stream that the hub ends."""
        if self.is_gone:
            return
        body = b"retry: %d\n" % retry_ms + frames.control("bye", {"reason": reason})
        if self.gzip is not None:
            body = self.gzip.alone(body) + self.gzip.foot()
        with contextlib.suppress(TimeoutError, OSError, RuntimeError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await send({"type": "http.response.body", "body": body, "more_body": False})

    # ------------------------------------------------------------------ writing

    def on_lost(self) -> None:
        """What the transport calls when the client is gone."""
        raise NotImplementedError

    async def write(self, data: bytes) -> None:
        """Writes bytes, a chunk at a time, waiting for the socket at most `WRITE_SECONDS` before each.
        Raises `Gone`."""
        for piece in chunks.pieces(data):
            if self.outlet.flow.write_paused:
                await self.until_writable()
            if self.is_gone:
                raise Gone
            self.put(piece)

    def put(self, data: bytes) -> None:
        """Hands bytes to the socket at once."""
        encoded = data if self.gzip is None else self.encode(self.gzip, data)
        try:
            self.outlet.transport.write(as_chunk(encoded))
        except RuntimeError:
            self.on_lost()
        else:
            self.bytes_before += len(encoded)

    def encode(self, gzip: Gzip, data: bytes) -> bytes:
        """What this stream alone is sent, compressed."""
        return gzip.alone(data)

    async def until_writable(self) -> None:
        """Waits until the socket takes more. Raises `Gone`."""
        metrics.LAGGING.inc()
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self.outlet.flow.drain()
        except TimeoutError as error:
            raise Gone from error
        finally:
            metrics.LAGGING.dec()
