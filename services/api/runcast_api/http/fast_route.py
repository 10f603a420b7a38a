"""The way past the router for the one request that agents send more often than all others together.

Routing, dependencies and exit stacks cost about a quarter of a `POST /runs/{run}/logs`; its handler needs
none of them. The route itself stays in the application, which describes it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

_BEFORE, _AFTER = "/runs/", "/logs"


class Template(NamedTuple):
    """What the router would have put into the scope, for code that counts requests."""

    path: str


ROUTE = Template("/runs/{run}/logs")

Handler = Callable[[Request], Awaitable[Response]]


class Shortcut:
    """Pure ASGI: `POST /runs/{run}/logs` goes to `handler`, everything else on to the application."""

    def __init__(self, app: ASGIApp, handler: Handler) -> None:
        self._app = app
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        run = _run_of(scope) if scope["type"] == "http" and scope["method"] == "POST" else None
        if run is None:
            await self._app(scope, receive, send)
            return
        scope["path_params"] = {"run": run}
        scope["route"] = ROUTE
        response = await self._handler(Request(scope, receive))
        await response(scope, receive, send)


def _run_of(scope: Scope) -> str | None:
    path: str = scope["path"]
    if not (path.startswith(_BEFORE) and path.endswith(_AFTER)):
        return None
    run = path[len(_BEFORE) : -len(_AFTER)]
    return run if run and "/" not in run else None
