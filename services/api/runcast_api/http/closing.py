"""Streams of bytes that are closed by who reads them.

A generator that isn't read to its end is closed by Python's collector, some time later: what it holds (a
caller's place among the searches, a task, a connection to the object store) stays taken until then.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from types import AsyncGeneratorType

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


@contextlib.asynccontextmanager
async def closing(pieces: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """The same pieces, closed at the end of the block however it ends, where they are a generator's."""
    try:
        yield pieces
    finally:
        # The collector may have begun to close a whole chain of generators, each by itself.
        if isinstance(pieces, AsyncGeneratorType) and not pieces.ag_running:
            await pieces.aclose()


class Streamed(StreamingResponse):
    """An answer in pieces, which are closed once it is sent, or given up: its reader went away, or has this
    version already."""

    body_iterator: AsyncIterator[bytes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with closing(self.body_iterator):
            await super().__call__(scope, receive, send)
