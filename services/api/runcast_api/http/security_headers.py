"""Security headers of every answer, and a policy of its own for the pages under `/docs`."""

from __future__ import annotations

import base64
import hashlib
import re

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runcast_server.auth import origins

DOCS_PATHS = ("/docs", "/docs/oauth2-redirect")
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_CDN = "https://cdn.jsdelivr.net"


class Sealing:
    """Pure ASGI: adds to each answer what the process's front put into the scope."""

    def __init__(self, app: ASGIApp, docs_policy: str) -> None:
        self._app = app
        self._docs_policy = (b"content-security-policy", docs_policy.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                if scope["path"] in DOCS_PATHS:
                    headers.append(self._docs_policy)
                message["headers"] = origins.with_added(scope, headers)
            await send(message)

        await self._app(scope, receive, sealed)


def docs_policy(openapi_url: str, title: str) -> str:
    """Lets the documentation page, which FastAPI makes, run its own script and its viewer's, no other."""
    page = bytes(get_swagger_ui_html(openapi_url=openapi_url, title=title).body).decode()
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in _SCRIPT.findall(page)
    )
    return (
        f"default-src 'none'; script-src {_CDN} {hashes}; style-src {_CDN} 'unsafe-inline'; "
        "img-src 'self' data: https://fastapi.tiangolo.com; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
