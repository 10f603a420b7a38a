"""The hub's ASGI app: sends each request to where it is served.

Plain ASGI, outside of any wrapping middleware: a stream writes past `send`, to the outlet that our server
offers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson
import structlog
from starlette.types import Receive, Scope, Send

from runcast_hub import combined_handshake, stream_request
from runcast_hub.access_cache import Permits
from runcast_hub.combined_handshake import CombinedHandshake
from runcast_hub.connections import MAX_BODY_BYTES, Connections
from runcast_hub.handshake import EVENTS, RUN, Handshake, close
from runcast_hub.hub import Hub
from runcast_hub.snapshot import Snapshots
from runcast_hub.stream_auth import Arrivals, added_headers
from runcast_server import outages, query_names, refusals
from runcast_server.auth.principal import Authenticator
from runcast_server.auth.rate_limits import RequestLimits
from runcast_server.errors import PROBLEM_MEDIA_TYPE, Forbidden, Problem, TooLarge, TooSlow
from runcast_server.process import requests, slow_refusals

_CONNECTION = re.compile(r"/connections/([^/]+)")
_LISTS = ("/connections", "/admin/connections")
_PATHS = (*_LISTS, combined_handshake.PATH)
_PARAMETERS = frozenset({query_names.SHARE})
"""What requests for one open connection take; any of another name is refused."""
_LIST_PARAMETERS = _PARAMETERS | {"limit", "cursor"}
BODY_SECONDS = 10.0

log = structlog.get_logger()


class App:
    """Serves the streams of one hub."""

    def __init__(self, hub: Hub, authenticator: Authenticator, limits: RequestLimits) -> None:
        self.hub = hub
        timeout_seconds = hub.settings.sse_connection_timeout_m * 60
        self._arrivals = Arrivals(hub.database, authenticator, limits, timeout_seconds)
        shared = (hub, self._arrivals, Permits(hub.database), Snapshots(hub.database.log))
        self._one = Handshake(*shared)
        self._several = CombinedHandshake(*shared)
        self._connections = Connections(hub)

    def handles(self, scope: Scope) -> bool:
        """Whether this request is for a stream, or for the open ones."""
        path, method = scope["path"], scope["method"]
        if method in ("GET", "HEAD"):
            return path in _PATHS or bool(EVENTS.fullmatch(path) or RUN.fullmatch(path))
        return method in ("PATCH", "DELETE") and bool(_CONNECTION.fullmatch(path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if "/connections" in scope["path"]:
                await self._manage(scope, receive, send)
                return
            is_combined = scope["path"] == combined_handshake.PATH
            handshake = self._several if is_combined else self._one
            if scope["method"] == "HEAD":
                await handshake.describe(scope, send)
                return
            stream = await handshake.open(scope, receive, send)
        except Problem as problem:
            return await _refuse(scope, send, problem)
        except Exception as error:
            return await _refuse(scope, send, _problem_of(error))
        try:
            await stream.serve()
        finally:
            await close(self.hub, self._arrivals, stream, send)

    async def _manage(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = await self._arrivals.caller(scope)
        path = scope["path"]
        parameters = stream_request.parameters_of(scope)
        known = _LIST_PARAMETERS if path in _LISTS else _PARAMETERS
        query_names.refuse_unknown(parameters, known)
        if path in _LISTS:
            if path.startswith("/admin") and not principal.is_admin:
                raise Forbidden("only an administrator sees everyone's connections")
            found = await self._connections.list(principal, parameters, everyone=principal.is_admin)
            return await _answer(scope, send, 200, found)
        match = _CONNECTION.fullmatch(path)
        assert match is not None
        if scope["method"] == "DELETE":
            await self._connections.end(principal, match[1])
            return await _answer(scope, send, 204, None)
        body = await _body(receive)
        changed = await self._connections.change_filter(principal, match[1], body)
        await _answer(scope, send, 200, changed)


def _problem_of(error: Exception) -> Problem:
    problem = refusals.of(error)
    if problem.status >= 500 and not outages.is_outage(error):
        log.error("request.failed", exc_info=error)
    return problem


async def _body(receive: Receive) -> bytes:
    """The body of a request whose caller is known. Raises `TooLarge`, `TooSlow`."""
    body: bytes = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                body += bytes(message.get("body", b""))
                if len(body) > MAX_BODY_BYTES:
                    raise TooLarge(f"at most {MAX_BODY_BYTES} bytes")
                if not message.get("more_body"):
                    return body
    except TimeoutError:
        raise TooSlow(f"the body must come within {BODY_SECONDS:g} s") from None


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
    await slow_refusals.hold(scope, problem.status)
    headers = {"content-type": PROBLEM_MEDIA_TYPE, **problem.headers()}
    headers["x-request-id"] = requests.number(scope)
    await _answer(scope, send, problem.status, problem.body(), headers)
