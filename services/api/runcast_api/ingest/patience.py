"""How long the ingester tries at one position of the stream before it rejects the message that stands there.

A message that is at fault is refused at once (`guard`). What is left are errors that speak of the storage,
though a message may be their cause: one that ends a server process, or a statement that takes too long. So
where the same position fails again and again, its messages are tried one at a time; and one that fails on its
own, `TRIES` times and for `SECONDS`, while Postgres takes changes of the same tables, is rejected.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from runcast_api.ingest.batches import MAX_EVENTS, Fenced
from runcast_api.ingest.stream import Position
from runcast_server.errors import Unavailable

TRIES = 5
SECONDS = 30.0
"""Longer than any lock lasts that a stopped process of ours holds."""


class Patience:
    """The failures at the present position. Failures to reach Postgres at all don't count."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._position: Position | None = None
        self._tries = 0
        self._since = 0.0
        self.reason = ""

    def failed(self, position: Position, error: Exception) -> None:
        """Notes that applying what follows the position failed."""
        if isinstance(error, (Fenced, Unavailable)):
            return
        if position != self._position:
            self._position, self._tries, self._since = position, 0, self._clock()
        self._tries += 1
        self.reason = f"it failed {self._tries} times: {type(error).__name__}: {error}"

    def max_events(self, position: Position) -> int:
        """How many events a batch at this position may have: one message alone, where a batch has failed."""
        return 1 if position == self._position and self._tries > 1 else MAX_EVENTS

    def is_over(self, position: Position) -> bool:
        """Whether the message at this position was tried for long enough."""
        if position != self._position or self._tries < TRIES:
            return False
        return self._clock() - self._since >= SECONDS
