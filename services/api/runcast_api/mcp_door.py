"""`/mcp`: the Model Context Protocol over HTTP, for agents; every call is one of the API's own.

The tools (`runcast.mcp`) call this application as their caller would, with the same token: an agent
reaches by MCP exactly what its key reaches by HTTP. There are no sessions: any process answers any call.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
from mcp.server.mcpserver import Context
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runcast.client.clients import AsyncClient
from runcast.mcp.caller import RUN_HEADER, Caller, client_name
from runcast.mcp.tools import create
from runcast_api.dependencies import Api
from runcast_api.http import nesting
from runcast_api.http.body_intake import paced
from runcast_api.http.problems import MethodNotAllowed
from runcast_server.auth.principal import bearer
from runcast_server.errors import TooLarge, Unauthenticated

PATHS = frozenset({"/mcp", "/mcp/"})
MAX_BODY = 1024 * 1024
INVALID_REQUEST = -32600
_NO_HOST_CHECK = TransportSecuritySettings(enable_dns_rebinding_protection=False)
"""The process's front has checked Host and Origin, by the server's own settings."""


class McpDoor:
    """The protocol over an application. Nothing is answered before `running` was entered."""

    def __init__(self, api: Api, app: ASGIApp, version: str) -> None:
        self._api = api
        self._transport = httpx.ASGITransport(app)
        self._server = create(self._connect, version)
        self._answer = self._server.streamable_http_app(
            stateless_http=True,
            streamable_http_path="/mcp",
            transport_security=_NO_HOST_CHECK,
            max_request_body_size=MAX_BODY,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the service runs."""
        async with self._server.session_manager.run():
            yield

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request. Raises `Unauthenticated`, `MethodNotAllowed`, `TooLarge`, `TooSlow`."""
        request = Request(scope, receive)
        if bearer(request.headers) is None:
            raise Unauthenticated("send a key: Authorization: Bearer rc_…")
        await self._api.caller(request)
        if request.method != "POST":
            # There are no sessions, so nothing would ever come on the stream that a GET opens.
            raise MethodNotAllowed("messages of MCP come by POST; there is no stream to open")
        body = await _body(request)
        if (fault := _fault(body)) is not None:
            error = {"code": INVALID_REQUEST, "message": fault}
            refusal = {"jsonrpc": "2.0", "id": None, "error": error}
            return await JSONResponse(refusal, 400)(scope, receive, send)
        inner = {**scope, "path": "/mcp", "raw_path": b"/mcp", "root_path": ""}
        await self._answer(inner, _replaying(body, receive), send)

    @contextlib.asynccontextmanager
    async def _connect(self, context: Context[Any, Any]) -> AsyncIterator[Caller]:
        request = context.request_context.request
        if not isinstance(request, Request):  # every call comes over HTTP
            raise Unauthenticated("no request")
        token = bearer(request.headers)
        principal = await self._api.authenticator.principal(token)
        project = request.query_params.get("project") or (
            str(principal.project_id) if principal.project_id else None
        )
        async with AsyncClient("http://runcast", token, transport=self._transport) as client:
            identity = f"{client_name(context)}\n{principal.name}"
            own = request.headers.get(RUN_HEADER)
            yield Caller(client, project, identity, own)


class McpRoute:
    """Pure ASGI: `/mcp` and `/mcp/` go to the door, without a redirect between the two."""

    def __init__(self, app: ASGIApp, door: McpDoor) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in PATHS:
            await self._door.answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def _body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in paced(request.stream()):
        size += len(part)
        if size > MAX_BODY:
            raise TooLarge(f"a message of MCP has at most {MAX_BODY:,} bytes")
        parts.append(part)
    body = b"".join(parts)
    if nesting.has_many(body):
        raise TooLarge(f"a message of MCP holds {nesting.LIMITS}")
    return body


def _fault(body: bytes) -> str | None:
    """What is wrong with a message that would be taken for another one, or refused in the words of a schema;
    None where nothing is, or where it is no JSON."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(message, list):
        return "batches are not taken; send each message in a request of its own"
    if not isinstance(message, dict):
        return "a message is an object"
    id = message.get("id", "")
    if "method" in message and (isinstance(id, bool) or not isinstance(id, int | str)):
        return "id: must be a text or a whole number"
    return None


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read, then what the client does: it may go away."""
    is_given = False

    async def replay() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
