"""How long to wait before trying again: 1 to 30 s, doubled each time, jittered.

The jitter keeps a thousand clients, cut off in the same moment by a restart, from coming back in
the same moment. (stamina would do the waiting, but it reports each try through whatever logging the
host program has set up, which may be its stdout.)
"""

import random

FIRST_SECONDS = 1.0
LAST_SECONDS = 30.0
LONGEST_SECONDS = 300.0
"""A server, or what stands before it, may say that it comes back next week."""

_RANDOM = random.SystemRandom()
"""The host program's own random numbers stay as it has seeded them, and forked processes differ."""


class Backoff:
    def __init__(self, first_seconds: float = FIRST_SECONDS, last_seconds: float = LAST_SECONDS):
        self._first = first_seconds
        self._last = last_seconds
        self._ceiling = first_seconds

    def next_seconds(self, at_least: float | None = None) -> float:
        """The next wait; not shorter than the server asked for, which counts up to five minutes."""
        self._ceiling = min(self._ceiling * 2, self._last)
        if at_least is None:
            return _RANDOM.uniform(self._first, self._ceiling)
        return min(max(at_least, 0.0), LONGEST_SECONDS) + _RANDOM.uniform(0, self._first)

    def reset(self) -> None:
        """It worked: the next failure waits as the first one did."""
        self._ceiling = self._first
