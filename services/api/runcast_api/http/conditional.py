"""What HTTP says of every GET, done once around all of them: HEAD, entity tags, caching, HTTP/1.0.

An answer in one piece gets a tag of its bytes; a client that has them (`If-None-Match`) is sent 304 and no
body. HEAD is GET without the body: once the head is known, the handler is stopped. Other methods pass
untouched, so that ingest pays nothing.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runcast_api.http import entity_tags
from runcast_api.http.bytes_sent import CALLER
from runcast_server.process.http_protocol import expect_bare

REVALIDATED = "private, no-cache"
"""Kept by the caller alone, and asked for each time whether it is still so."""
VARY = "Accept, Authorization, Cookie"


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
        self._is_bare = False
        """The client knows no chunks, and isn't told the length: the body ends with the connection."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] != "http.response.body":
            await self._send(message)
        elif self._start is not None:
            start, self._start = self._start, None
            await self._begin(start, message)
        else:
            await self._pass(message)

    def close(self) -> None:
        if self._is_head:
            self._scope["method"] = "HEAD"

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
            return
        is_old = self._scope.get("http_version") == "1.0"
        self._is_bare = is_old and not is_whole and "content-length" not in headers
        await self._pass(start)
        await self._pass(first)

    async def _pass(self, message: Message) -> None:
        if self._is_bare:
            expect_bare(self._scope, len(message.get("body", b"")))
        await self._send(message)

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
