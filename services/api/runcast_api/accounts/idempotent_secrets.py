"""`Idempotency-Key` where the answer holds a secret: that one is shown the first time and stored nowhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response

from runcast_api.http.idempotency import Once, render
from runcast_api.http.responses import Answer
from runcast_server.db import Connection

Secrets = dict[str, Any]
"""Members of the answer that are null when it is repeated."""


async def once_with_secrets(
    once: Once,
    connection: Connection,
    change: Callable[[], Awaitable[tuple[dict[str, Any], Secrets]]],
    head: int | None = None,
) -> Response:
    """Answers 201 with what the change made; later, under the same key, the same without its secrets."""
    shown: Secrets = {}

    async def without_secrets() -> Answer:
        content, secrets = await change()
        shown.update(secrets)
        return Answer(content | dict.fromkeys(secrets), 201)

    given, is_repeat = await once.do(connection, without_secrets)
    return render(Answer(given.content | shown, given.status), is_repeat, head)
