"""What HTTP says of every GET, done once around all of them: HEAD, entity tags, caching, HTTP/1.0.

An answer in one piece gets a tag of its bytes; a client that has them (`If-None-Match`) is sent 304 and no
body. HEAD is GET without the body: once the head is known, the handler is stopped. Other methods pass
untouched, so that ingest pays nothing.
"""

from __future__ import annotations

import tempfile
from typing import IO, cast

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runcast_api.http import entity_tags
from runcast_api.http.bytes_sent import CALLER

REVALIDATED = "private, no-cache"
"""Kept by the caller alone, and asked for each time whether it is still so."""
VARY = "Accept, Authorization, Cookie"
SPOOLED_BYTES = 1024 * 1024
"""What an answer to an HTTP/1.0 client holds in memory; the rest waits in a file for its length."""


class _Enough(Exception):
    """The answer has ended before its body."""


class Conditional:
    """Pure ASGI, within whatever counts the bytes that are sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send)
        try:
            await self._app(scope, receive, answer.send)
        except _Enough:
            pass
        finally:
            answer.close()


class _Answer:
    """One answer on its way: its head is kept until the first piece of the body tells what it is."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._is_head = scope["method"] == "HEAD"
        # The application knows GET alone; the server below has to see what was really asked.
        scope["method"] = "GET"
        self._start: Message | None = None
        self._held: Message | None = None
        """The head of an answer that waits in the spool."""
        self._spool: IO[bytes] | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] != "http.response.body":
            await self._send(message)
        elif self._start is not None:
            start, self._start = self._start, None
            await self._begin(start, message)
        else:
            await self._go_on(message)

    def close(self) -> None:
        if self._is_head:
            self._scope["method"] = "HEAD"
        if self._spool is not None:
            self._spool.close()

    async def _begin(self, start: Message, first: Message) -> None:
        headers = MutableHeaders(raw=list(start.get("headers", ())))
        start["headers"] = headers.raw
        is_whole = not first.get("more_body", False)
        if start["status"] in (200, 206):
            self._describe(start, headers, first, is_whole=is_whole)
        if self._is_head:
            self._scope["method"] = "HEAD"
        if self._is_head or start["status"] == 304:
            await self._send(start)
            await self._send({"type": "http.response.body", "body": b""})
            if not is_whole:
                raise _Enough
        elif not is_whole and "content-length" not in headers and self._is_old:
            self._held = start
            spool = tempfile.SpooledTemporaryFile(SPOOLED_BYTES)  # noqa: SIM115 (closed by `close`)
            self._spool = cast(IO[bytes], spool)
            await self._go_on(first)
        else:
            await self._send(start)
            await self._send(first)

    def _describe(
        self, start: Message, headers: MutableHeaders, first: Message, *, is_whole: bool
    ) -> None:
        """Adds what caches need to know; makes it 304 where the client has this very version."""
        is_json = headers.get("content-type") == "application/json"
        if start["status"] == 200 and is_whole and is_json and "etag" not in headers:
            headers["etag"] = entity_tags.of(first.get("body", b""))
            headers["cache-control"] = REVALIDATED
        if CALLER in self._scope:
            headers.setdefault("cache-control", "no-store")
            headers.setdefault("vary", VARY)
        wanted = Headers(scope=self._scope).get("if-none-match")
        tag = headers.get("etag")
        if wanted and tag and entity_tags.is_listed(wanted, tag, weak=True):
            start["status"] = 304
            for name in ("content-length", "content-type", "content-range"):
                del headers[name]

    @property
    def _is_old(self) -> bool:
        """HTTP/1.0 knows no chunks: such a client is told the length, or reads chunks as text."""
        return bool(self._scope.get("http_version") == "1.0")

    async def _go_on(self, message: Message) -> None:
        spool = self._spool
        if spool is None:
            await self._send(message)
            return
        spool.write(message.get("body", b""))
        if message.get("more_body", False):
            return
        start = self._held
        assert start is not None
        start["headers"].append((b"content-length", b"%d" % spool.tell()))
        spool.seek(0)
        await self._send(start)
        while piece := spool.read(64 * 1024):
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})
