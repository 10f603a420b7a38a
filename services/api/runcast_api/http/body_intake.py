"""Who may send how much of a body, and how slowly.

A body costs memory before anyone knows what it asks for. So a caller's token is looked at before the body
is read; without a good one a request may bring a small body, as signing in needs, and one address has only
some such bodies under way. From any caller, a body must keep coming: connections that send a byte now and
then would otherwise hold what they have sent for as long as they like."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

from starlette.requests import Request

from runcast_api.http.problems import BadRequest
from runcast_server import networks
from runcast_server.auth.principal import Authenticator, presented
from runcast_server.errors import LimitReached, TooSlow, Unauthenticated

GRACE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 30.0
"""A sender pauses for so long at most, however fast it was before."""
LEAST_BYTES_A_SECOND = 1024
ANONYMOUS_BYTES = 4 * 1024
"""Also of the holders of share links, who change nothing."""
ANONYMOUS_AT_ONCE = 32
"""Bodies of one address at a time that no token came with."""


class Bodies:
    """The bodies that a process is taking in, of those who haven't signed in."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._anonymous: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def admitted(self, request: Request, limit: int) -> AsyncIterator[int]:
        """How long the body may be that is read within the block. Raises `Unauthenticated` for a longer one
        without a token that is good, and `LimitReached` for too many of one address at once."""
        try:
            caller = await self._authenticator.principal(
                presented(request.headers, request.url.query)
            )
        except Unauthenticated:
            if _announced(request) > ANONYMOUS_BYTES:
                raise
        else:
            yield limit if caller.share_id is None else min(limit, ANONYMOUS_BYTES)
            return
        address = networks.of(request.client.host) if request.client else ""
        if self._anonymous[address] >= ANONYMOUS_AT_ONCE:
            raise LimitReached("too many requests at once without a token", retry_after_seconds=5)
        self._anonymous[address] += 1
        try:
            yield min(limit, ANONYMOUS_BYTES)
        finally:
            self._anonymous[address] -= 1
            if not self._anonymous[address]:
                del self._anonymous[address]


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdigit() and len(length) < 19 else 0


async def small(request: Request, size: int) -> bytes:
    """A body of `size` bytes, which has mostly come whole with its head: one limit for all of it, where
    `paced` has one for each part. Raises `TooSlow`, and `BadRequest` where it ends early."""
    body = b""
    more = True
    try:
        async with asyncio.timeout(GRACE_SECONDS + size / LEAST_BYTES_A_SECOND):
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise BadRequest("the body ended early")
                body += message.get("body", b"")
                more = message.get("more_body", False)
    except TimeoutError:
        raise _too_slow() from None
    return body


def _too_slow() -> TooSlow:
    return TooSlow(f"a body must come at {LEAST_BYTES_A_SECOND:,} bytes a second at least")


async def paced(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The body as it comes. Raises `TooSlow` where it comes at less than `LEAST_BYTES_A_SECOND`, after some
    seconds of grace, and what reading it raises.

    Only waiting for the sender counts, never what is done with a part meanwhile. What came fast is no excuse
    for pausing long afterwards: a sender is never ahead by more than `LONGEST_PAUSE_SECONDS`.
    """
    clock = asyncio.get_running_loop().time
    left = GRACE_SECONDS
    parts = aiter(body)
    while True:
        began = clock()
        try:
            async with asyncio.timeout(left):
                part = await anext(parts)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise _too_slow() from None
        left += len(part) / LEAST_BYTES_A_SECOND - (clock() - began)
        left = min(left, LONGEST_PAUSE_SECONDS)
        yield part
