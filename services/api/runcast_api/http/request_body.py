"""Request bodies: within a limit, and JSON that everything behind can hold.

Read by orjson before FastAPI sees it: that refuses bytes that aren't UTF-8, lone surrogates, NaN and
numbers beyond a double. Nesting is bounded here, because what is read must also be written again. NUL
characters pass: columns of type json keep them as `\\u0000`; models refuse them where text goes into a
text column.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from runcast_api.http import body_intake, content_coding, lasting, nesting
from runcast_api.http.body_intake import Bodies
from runcast_api.http.bytes_sent import CALLER
from runcast_api.http.problems import BadRequest
from runcast_server.errors import TooLarge
from runcast_server.eventlog import guests

JSON_BYTES = 1024 * 1024
"""The size of an ordinary JSON body at most."""
SMALL_BYTES = 16 * 1024
JSON_DEPTH = 64
_RAW = "runcast.body"


def parse(body: bytes, what: str = "the body") -> Any:
    """The JSON value in `body`. Raises `BadRequest` with the place of the error, also where it holds too many
    values, or is nested more than `JSON_DEPTH` deep."""
    if nesting.has_many(body):
        raise BadRequest(f"{what} is too much to read: {nesting.LIMITS}; upload it as a file")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"{what} isn't JSON in UTF-8: {error}") from None
    if nesting.is_deeper(body, JSON_DEPTH):
        raise BadRequest(f"the JSON is nested more than {JSON_DEPTH} deep")
    return value


async def chunks(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body as it comes, decompressed: `limit` is of what comes out, and what comes in may be
    larger by a little. Raises `TooLarge` as soon as it is known to be longer, `TooSlow` where it doesn't keep
    coming, `BadRequest` where the client went away in the middle, and as `decoded` does; and a refusal where
    its caller has lost the right to send it (`lasting`)."""
    announced = request.headers.get("content-length", "")
    refusal = TooLarge(f"the body is larger than {limit:,} bytes")
    if announced.isdigit() and int(announced) > limit:
        raise refusal
    coding = request.headers.get("content-encoding", "").strip().lower()
    sent = body_intake.paced(request.stream())
    if coding not in ("", "identity"):
        sent = content_coding.decoded(content_coding.bounded(sent, limit), coding)
    size, looked = 0, time.monotonic()
    try:
        async for chunk in sent:
            size += len(chunk)
            if size > limit:
                raise refusal
            looked = await lasting.look_again(request, looked)
            yield chunk
    except ClientDisconnect:
        raise BadRequest("the body ended early") from None


async def read(request: Request, limit: int = JSON_BYTES) -> bytes:
    """The whole body. Raises as `chunks` does."""
    size = _small(request)
    if size is not None and size <= limit:
        began = time.monotonic()
        body = await body_intake.small(request, size)
        await lasting.look_again(request, began)
        return body
    return b"".join([chunk async for chunk in chunks(request, limit)])


def _small(request: Request) -> int | None:
    """The length of a body that is small, known and not compressed, as nearly all are."""
    announced = length = None
    for name, value in request.scope["headers"]:
        if name == b"content-encoding":
            return None
        if name == b"content-length":
            announced = value
    if announced is not None and announced.isdigit():
        length = int(announced)
    return length if length is not None and length <= SMALL_BYTES else None


def raw(request: Request) -> bytes:
    """The bytes that a `JsonRoute` read."""
    body: bytes = request.scope.get(_RAW, b"")
    return body


class JsonRequest(Request):
    """A request whose body was read and parsed before."""

    def __init__(self, request: Request, body: bytes) -> None:
        others = [pair for pair in request.scope["headers"] if pair[0] != b"content-type"]
        request.scope["headers"] = [*others, (b"content-type", b"application/json")]
        super().__init__(request.scope, request.receive)
        self._body = body
        self._json = parse(body) if body.strip() else None
        self.scope[_RAW] = body

    async def json(self) -> Any:
        return self._json


def _for_guests(request: Request, response: Response) -> Response:
    """The answer as the holder of a share link may see it."""
    caller = request.scope.get(CALLER)
    if caller is not None and caller.share_id is not None and isinstance(response.body, bytes):
        response.body = guests.reduced(response.body)
        if "content-length" in response.headers:
            response.headers["content-length"] = str(len(response.body))
    return response


class JsonRoute(APIRoute):
    """A route whose body, if it has one, is JSON within `most_bytes`, whatever its content type says."""

    most_bytes = JSON_BYTES

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handle = super().get_route_handler()
        if not (self.methods or set()) & {"POST", "PUT", "PATCH"}:

            async def handle_shown(request: Request) -> Response:
                return _for_guests(request, await handle(request))

            return handle_shown

        async def handle_read(request: Request) -> Response:
            bodies: Bodies = request.app.state.api.bodies
            async with bodies.admitted(request, self.most_bytes) as limit:
                body = await read(request, limit)
            return await handle(JsonRequest(request, body))

        return handle_read


class BulkRoute(JsonRoute):
    """A route for many things at once."""

    most_bytes = 8 * JSON_BYTES
