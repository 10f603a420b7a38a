"""How many exports are made at the same time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from runcast_server.errors import LimitReached

MOST_AT_ONCE = 8


@dataclass
class Exports:
    """The exports that this process is making."""

    number: int = 0

    def check(self) -> None:
        """Raises `LimitReached` where no further one may begin."""
        if self.number >= MOST_AT_ONCE:
            raise LimitReached("too many exports are being made", retry_after_seconds=10)

    async def counted(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The pieces of an export, which counts from the first to the last of them."""
        self.number += 1
        try:
            async for piece in pieces:
                if piece:
                    yield piece
        finally:
            self.number -= 1
