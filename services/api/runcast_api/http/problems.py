"""Every refusal becomes an answer here: problem details (RFC 9457), and nothing that was not meant to
be seen.

Domain functions raise `Problem`. What FastAPI, asyncpg and redis-py raise is translated; what no one
expected is logged with its trace and answered as a bare 500.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runcast_api.http import methods
from runcast_server import outages, refusals
from runcast_server.errors import (
    PROBLEM_MEDIA_TYPE,
    FieldError,
    Invalid,
    NotFound,
    Problem,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

LINGER_SECONDS = 5.0
LINGER_BYTES = 512 * 1024 * 1024
SHOWN_ERRORS = 20
"""Invalid fields that one answer names at most."""

_OF_MEMBER = re.compile(r"([a-z_]+): (.+)", re.DOTALL)
_NO_MODEL = ("model_type", "model_attributes_type")
_OTHER_TYPE = ("list_type", *_NO_MODEL)

log = structlog.get_logger()


class MethodNotAllowed(Problem):
    """The path exists, but not with this method."""

    status = 405
    type = "method-not-allowed"
    title = "Method not allowed"


class BadRequest(Problem):
    """The request can't be read at all: broken JSON, bytes that aren't UTF-8."""

    status = 400
    type = "unreadable"
    title = "The request can't be read"


_BY_STATUS: dict[int, type[Problem]] = {
    400: BadRequest,
    401: Unauthenticated,
    404: NotFound,
    405: MethodNotAllowed,
    413: TooLarge,
    422: Invalid,
}


def problem_of(error: Exception) -> Problem:
    """The refusal that stands for an exception; the base `Problem` (500) for one no one expected."""
    match error:
        case RequestValidationError():
            return invalid(error.errors())
        case HTTPException():
            return _BY_STATUS.get(error.status_code, BadRequest)(str(error.detail))
        case UnicodeError():
            return BadRequest("a text isn't UTF-8, or holds half of a character")
    return refusals.of(error)


def invalid(errors: Any, *place: str) -> Invalid:
    """What pydantic found wrong, field by field: `body.steps.2`, `query.limit`. `place` is where it
    looked, if it doesn't say so itself."""
    fields = tuple(
        _field_error((*place, *error["loc"]), error)
        for error in list(errors if place else _of_one_branch(errors))[:SHOWN_ERRORS]
    )
    detail = "; ".join(f"{field.field}: {field.message}" for field in fields[:3])
    return Invalid(detail, errors=fields)


def _field_error(place: Sequence[Any], error: Mapping[str, Any]) -> FieldError:
    """What is wrong where. A model's own validators say of which member they speak: `steps: named twice`."""
    text = error["msg"].removeprefix("Value error, ")
    if error["type"] in _NO_MODEL:
        text = "Input should be a valid object"
    if error["type"] == "value_error" and (found := _OF_MEMBER.fullmatch(text)):
        place, text = (*place, found[1]), found[2]
    return FieldError(".".join(str(part) for part in place), text)


def _of_one_branch(errors: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The errors; where a body may be one thing or an array of them, those of what it is. pydantic tells
    what is wrong with it as either, under names of our classes."""
    tag = _branch(error for error in errors if error["loc"][:1] == ("body",))
    for error in errors:
        where, *inside = error["loc"] or ("",)
        if tag is None or where != "body":
            yield error
        elif inside[0] == tag:
            yield {**error, "loc": (where, *inside[1:])}


def _branch(errors: Iterable[Mapping[str, Any]]) -> str | None:
    """The tag of what the body is, `Thing` or `list[Thing]`; None where it may be one thing only.

    Callers choose the names of members, and may choose such ones. They can't choose that every error is
    below one of the two tags, and that one of these itself is told to be of another type.
    """
    found = list(errors)
    tags = {str(part) for error in found for part in error["loc"][1:2]}
    one = min(tags, key=len, default="")
    if tags != {one, f"list[{one}]"} or any(len(error["loc"]) < 2 for error in found):
        return None
    others = {e["loc"][1] for e in found if len(e["loc"]) == 2 and e["type"] in _OTHER_TYPE}
    if f"list[{one}]" in others:
        return one
    return f"list[{one}]" if one in others else None


def response_to(error: Exception) -> Response:
    """The answer to an exception. Unexpected ones and outages are logged."""
    problem = problem_of(error)
    if isinstance(problem, Unavailable):
        log.warning("request.unavailable", error=outages.named(error))
    elif problem.status >= 500:
        log.error("request.failed", error=outages.named(error), exc_info=error)
    headers = problem.headers()
    if isinstance(error, HTTPException) and error.headers:
        headers |= error.headers
    return Response(
        orjson.dumps(problem.body()),
        status_code=problem.status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers=headers | {"Cache-Control": "no-store"},
    )


async def handle(request: Request, error: Exception) -> Response:
    """`response_to`, as FastAPI calls it."""
    if isinstance(error, HTTPException) and error.status_code in (404, 405):
        return _unrouted(request, error)
    return response_to(error)


def _unrouted(request: Request, error: HTTPException) -> Response:
    """No route takes the request: its path isn't there, or has other methods."""
    method, path = request.method, request.url.path
    known = methods.allowed(path)
    if method == "OPTIONS" and (known or path == "*"):
        return Response(status_code=204, headers={"Allow": ", ".join(known)} if known else {})
    if not known and error.status_code == 405:
        return response_to(error)
    if not known or method in known:
        return response_to(NotFound(f"nothing is served under {path[:200]}"))
    allow = ", ".join(known)
    answer = response_to(MethodNotAllowed(f"{method} isn't taken here; {allow} are"))
    answer.headers["Allow"] = allow
    return answer


class Refusals:
    """Pure ASGI, around everything: what is raised below becomes an answer, unless one has begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = is_read = False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        async def received() -> Message:
            nonlocal is_read
            message = await receive()
            is_read = not message.get("more_body", False)
            return message

        try:
            if b"%00" in scope["query_string"] or b"%00" in scope.get("raw_path", b""):
                raise Invalid("the address holds a NUL character")
            await self._app(scope, received, noted)
        except asyncio.CancelledError:
            # The process stops and waits for this request no longer; it ends here, with an answer.
            if has_begun:
                raise
            await response_to(Unavailable("the server is stopping"))(scope, receive, send)
        except Exception as error:
            if has_begun:
                raise
            answer = response_to(error)
            is_coming = not is_read and _has_body(scope)
            if isinstance(error, (TooLarge, Unauthenticated)) and is_coming:
                await send_and_linger(answer, receive, send)
            else:
                await answer(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    """Whether a request says that it has one (RFC 9112, section 6)."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b" 0"))
        for name, value in scope["headers"]
    )


async def send_and_linger(answer: Response, receive: Receive, send: Send) -> None:
    """Answers at once, and then throws away what still comes, for a while: a connection that is closed
    under a client that is still sending takes the answer away from it (RFC 9112, section 9.6)."""
    headers = [*answer.raw_headers, (b"connection", b"close")]
    start = {"status": answer.status_code, "headers": headers}
    await send({"type": "http.response.start"} | start)
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    left = LINGER_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    break
                left -= len(message.get("body", b""))
    await send({"type": "http.response.body", "body": b""})
