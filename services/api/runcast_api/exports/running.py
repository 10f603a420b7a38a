"""How many exports are made at the same time."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send

from runcast_api.http.closing import Streamed, closing
from runcast_server.auth.principal import Principal
from runcast_server.errors import LimitReached

MOST_AT_ONCE = 8
MOST_OF_ONE = 2
MOST_OF_ONE_LINK = 1


@dataclass
class Exports:
    """The exports that this process is making."""

    number: int = 0
    of_callers: Counter[str] = field(default_factory=Counter)

    def check(self, caller: Principal) -> None:
        """Raises `LimitReached` where no further one may begin, or none of this caller's."""
        most = MOST_OF_ONE if caller.share_id is None else MOST_OF_ONE_LINK
        if self.number >= MOST_AT_ONCE or self.of_callers[caller.limit_name] >= most:
            raise LimitReached("too many exports are being made", retry_after_seconds=10)

    @contextlib.contextmanager
    def place(self, caller: Principal) -> Iterator[None]:
        """A place among the exports, for as long as one is made. Raises as `check` does."""
        self.check(caller)
        name = caller.limit_name
        self.number += 1
        self.of_callers[name] += 1
        try:
            yield
        finally:
            self.number -= 1
            self.of_callers[name] -= 1
            if not self.of_callers[name]:
                del self.of_callers[name]


class ExportResponse(Streamed):
    """An export, which counts from before its first byte until it is sent or given up."""

    def __init__(
        self,
        exports: Exports,
        caller: Principal,
        pieces: AsyncIterator[bytes],
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(_filled(pieces), media_type=media_type, headers=headers)
        self._exports = exports
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._exports.place(self._caller):
            await super().__call__(scope, receive, send)


async def _filled(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async with closing(pieces):
        async for piece in pieces:
            if piece:
                yield piece
