"""How much each caller was sent, reported to a counter."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runcast_server.auth.principal import Principal

CALLER = "runcast.caller"
"""Where in the scope stands who calls, once that is known."""
Count = Callable[[Principal, int], None]


class BytesSent:
    """Pure ASGI: counts the bodies of answers to callers that are known."""

    def __init__(self, app: ASGIApp, count: Count) -> None:
        self._app = app
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if CALLER in scope and (body := message.get("body")):
                self._count(scope[CALLER], len(body))
            await send(message)

        await self._app(scope, receive, counted)
