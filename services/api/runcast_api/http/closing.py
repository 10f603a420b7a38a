"""Streams of bytes that are closed by who reads them.

A generator that isn't read to its end is closed by Python's collector, some time later: what it holds (a
caller's place among the searches, a task, a connection to the object store) stays taken until then.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator


@contextlib.asynccontextmanager
async def closing(pieces: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """The same pieces, closed at the end of the block however it ends, where they are a generator's."""
    try:
        yield pieces
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
