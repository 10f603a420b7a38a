"""Bodies and answers that go on for long: they end when their caller may no longer send, or see, what is in
them.

A right is checked when a request comes. An upload of gigabytes, or a download at a few bytes a second, goes
on for hours after that: every few seconds it is looked at again, by a function that raises once the right is
gone. What was taken until then stays; an answer that has begun is cut off, so that no one takes it for
whole.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from uuid import UUID

from starlette.requests import Request

from runcast_api.http.closing import closing
from runcast_server import outages
from runcast_server.auth import claims
from runcast_server.auth.principal import Principal
from runcast_server.db import Database
from runcast_server.errors import Unauthenticated

LOOK_SECONDS = 2.0
"""With what authentication remembers (3 s), a revoked caller is out within 5 s."""
SCOPE = "runcast.look"

Look = Callable[[], Awaitable[None]]
"""Raises a `Problem` where the caller has lost the right to what goes on."""


def keep_looking(request: Request, look: Look) -> None:
    """Has `look` asked again and again while the body comes."""
    request.scope[SCOPE] = look


async def look_again(request: Request, looked: float) -> float:
    """Looks where the last look, at `looked`, was long ago; answers when the last one was."""
    now = time.monotonic()
    if now - looked < LOOK_SECONDS:
        return looked
    look: Look | None = request.scope.get(SCOPE)
    if look is not None:
        await look()
    return now


async def while_allowed(look: Look, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces of an answer, as long as `look` lets its caller have them; they are closed then."""
    looked = time.monotonic()
    async with closing(pieces):
        async for piece in pieces:
            now = time.monotonic()
            if now - looked >= LOOK_SECONDS:
                await look()
                looked = now
            yield piece


def reader(database: Database, caller: Principal, project_id: UUID) -> Look:
    """Looks whether this caller may still read this project. While Postgres is away, they may."""
    return partial(_require_reader, database, caller, project_id)


async def _require_reader(database: Database, caller: Principal, project_id: UUID) -> None:
    # A session that was refreshed lives on: the database knows its end.
    has_expired = caller.session_id is None and caller.has_expired()
    try:
        is_out = has_expired or await claims.is_shut_out(database, caller, project_id)
    except outages.ANY as error:
        if not outages.is_outage(error):
            raise
        return
    if is_out:
        raise Unauthenticated("the right to read this has ended")
