"""uvicorn's HTTP protocol with bounds on what a client may send before it has asked for anything.

The parser collects a head of any length, for any time; a few connections could take all memory, and idle
ones all file descriptors. Beyond the bounds a connection is answered 400 or closed, late where its address
had many such answers; one address may have only some connections that have asked for nothing yet.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runcast_server import networks
from runcast_server.process.slow_refusals import SlowRefusals

MAX_HEADERS = 100
"""Fields of one head (Apache's bound). Every part that reads headers looks through them: with thousands of
small ones, a request that is refused would cost more than most that are answered."""
MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers; the front refuses less than this in words."""
HEAD_SECONDS = 30.0
SILENT_PER_ADDRESS = 1_000
"""Connections of one address that have not sent a whole head yet; further ones are closed at once."""
LOCAL = frozenset({"127.0.0.1", "::1"})
"""Addresses that aren't counted: a gateway on this machine stands for all of its clients."""


class _TooManyHeaders(Exception):
    """Ends the parser's work at a head with more fields than are taken."""


class BoundedHeads(HttpToolsProtocol):
    """Counts the bytes of each request's head, and the time until it is complete; and of what stands between
    and behind the pieces of a body: fields there (RFC 9112, section 7.1.2) are no headers, and are
    dropped."""

    # Slots: a few more attributes in uvicorn's own dictionary would cost each connection a kilobyte, since
    # one of more than 30 keys is no longer shared among instances.
    __slots__ = ("_address", "_deadline", "_head_bytes", "_is_in_head")

    def connection_made(self, transport: Any) -> None:
        self._head_bytes = 0
        self._is_in_head = True
        self._deadline: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)
        self._address: str | None = None
        if self.client is not None and self.client[0] not in LOCAL:
            self._address = networks.of(self.client[0])
            self._silent[self._address] += 1
            if self._silent[self._address] > SILENT_PER_ADDRESS:
                transport.abort()

    @property
    def _silent(self) -> Counter[str]:
        """The silent connections by address, of all connections of this server."""
        found: Counter[str] = vars(self.server_state).setdefault("silent_by_address", Counter())
        return found

    def _has_spoken(self) -> None:
        if self._address is not None:
            self._silent[self._address] -= 1
            if not self._silent[self._address]:
                del self._silent[self._address]
            self._address = None

    @property
    def _refusals(self) -> SlowRefusals:
        """What this server's clients were refused before any application heard of them."""
        found: SlowRefusals = vars(self.server_state).setdefault("refused_heads", SlowRefusals())
        return found

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._has_spoken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        if self._is_in_head and self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._stop_waiting()
            self.send_400_response("The request's head is too large.")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_in_head:
            return  # Who asks, and for what, was looked at before.
        if len(self.headers) >= MAX_HEADERS:
            raise _TooManyHeaders
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Answers and closes; late, and without reading on, where the address was answered so very often."""
        self._stop_waiting()
        self.transport.pause_reading()
        seconds = self._refusals.delay(networks.of(self.client[0]) if self.client else "")
        if seconds > 0:
            self.loop.call_later(seconds, self._refuse, msg)
        else:
            self._refuse(msg)

    def _refuse(self, msg: str) -> None:
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._head_bytes = 0
        self._stop_waiting()
        self._has_spoken()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_in_head = True
        super().on_message_complete()

    def _give_up(self) -> None:
        self._deadline = None
        if self._is_in_head:
            self.transport.close()

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
