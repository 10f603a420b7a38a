"""uvicorn's HTTP protocol, with an outlet for streams, and keeping less for those that are open.

The outlet: who hands the same bytes to thousands of responses goes past ASGI's `send`, which would make
a coroutine, look at a message and join a chunk for each of them, and hears of a full socket and of a
client's end by a call instead of by a coroutine that waits. See ADR 0011 for what it saves.

A transport asks its writer to pause when more than its high-water mark is unsent; asyncio's default of
64 KiB would let a stalled stream hold a whole further chunk. With this mark a client that doesn't read
costs the process about one chunk (`python -m bench.stalled`).

An open stream keeps nothing of its request: the head was read, and no body will be waited for. Events, of
which each holds a deque of 600 bytes, are made only for a socket that is full.
"""

from __future__ import annotations

import asyncio
import typing

from starlette.types import Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from runcast_server.process.header_limits import BoundedHeads

UNSENT_BYTES = 16 * 1024
OUTLET = "runcast.outlet"
"""The name of the outlet among the scope's extensions (ASGI, HTTP connection scope)."""
_OLD_ANSWER = "runcast.old_answer"
"""The name of what answers a request of HTTP/1.0, among the same."""


_UNAWAITED = asyncio.Event()
"""What uvicorn sets when more of a request comes or the client goes: no one waits for that any more."""


class Stream(typing.Protocol):
    """Who writes to an outlet. Called by the transport, perhaps in the middle of a write."""

    def on_full(self) -> None:
        """More is unsent than the socket should have; `flow.drain` waits until it was sent."""

    def on_lost(self) -> None:
        """The connection is gone; nothing may be written any more."""


class Outlet(typing.Protocol):
    """Where chunks of a response that ASGI's `send` has begun are written directly, while `flow` isn't
    paused. Its `stream` is told what happens."""

    transport: asyncio.Transport
    flow: FlowControl
    stream: Stream | None


class Flow(FlowControl):
    """uvicorn's flow control, with an event only while writing is paused."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = False
        self.write_paused = False
        self._writable: asyncio.Event | None = None

    async def drain(self) -> None:
        if self._writable is not None:
            await self._writable.wait()

    def pause_writing(self) -> None:
        if not self.write_paused:
            self.write_paused = True
            self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self.write_paused = False
            self._writable.set()
            self._writable = None


class Protocol(BoundedHeads):
    """Sets the high-water mark of each connection, and offers itself to responses as their outlet."""

    __slots__ = ("stream",)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.stream: Stream | None = None
        super().connection_made(transport)
        self.flow = Flow(transport)
        transport.set_write_buffer_limits(high=UNSENT_BYTES)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {OUTLET: self}  # type: ignore[dict-item]

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.scope.get("http_version") == "1.0":
            known = {OUTLET: self, _OLD_ANSWER: self.cycle}
            self.scope["extensions"] = known  # type: ignore[typeddict-item]

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.stream is not None:
            self.stream.on_full()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.stream is not None:
            self.stream.on_lost()


def take_outlet(scope: Scope) -> Outlet:
    """The outlet of this request's response, once; the request is forgotten but for its method."""
    outlet: Protocol = scope["extensions"][OUTLET]
    method = scope["method"]
    scope["headers"].clear()
    scope.clear()
    scope["method"] = method
    if outlet.cycle.scope is scope:
        outlet.cycle.message_event = _UNAWAITED
    return outlet


def expect_bare(scope: Scope, size: int) -> None:
    """Has the next message of an answer to HTTP/1.0 sent without a chunk's frame: the head, or `size` bytes
    of the body. Such a body ends with its connection (RFC 9112, section 6.3). Changes nothing for HTTP/1.1.

    uvicorn frames each body of unknown length in chunks, which a client of HTTP/1.0 reads as text.
    """
    answer: RequestResponseCycle | None = scope.get("extensions", {}).get(_OLD_ANSWER)
    if answer is not None:
        answer.chunked_encoding = False
        answer.expected_content_length = size


def as_chunk(body: bytes) -> bytes:
    """A chunk of a chunked body (RFC 9112, section 7.1), which is how streams are sent."""
    return b"%x\r\n%b\r\n" % (len(body), body)
