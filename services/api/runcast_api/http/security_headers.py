"""Security headers of every answer, and a policy of its own for the page under `/docs`.

Every answer of the API passes here, so this is also where refusals of who is refused too often are held back.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runcast_api.http import reference
from runcast_api.http.bytes_sent import CALLER
from runcast_server.auth import origins
from runcast_server.auth.principal import Principal
from runcast_server.process import slow_refusals

DOCS_PATH = "/docs"


class Sealing:
    """Pure ASGI: adds to each answer what the process's front put into the scope."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._docs_policy = (b"content-security-policy", reference.POLICY.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                caller: Principal | None = scope.get(CALLER)
                name = caller.limit_name if caller else None
                await slow_refusals.hold(scope, message["status"], name)
                headers = list(message.get("headers", ()))
                if scope["path"] == DOCS_PATH:
                    headers.append(self._docs_policy)
                message["headers"] = origins.with_added(scope, headers)
            await send(message)

        await self._app(scope, receive, sealed)
