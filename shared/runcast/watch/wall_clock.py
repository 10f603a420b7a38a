"""How old a file is, on a machine that sleeps and whose clock is set.

A file's time is one of the wall's clock. When that jumps, no session was silent for so long, and none was
written in the future.
"""

from __future__ import annotations

from collections.abc import Callable

from runcast.watch.following import Following
from runcast.watch.line_file import Stamp

JUMP_SECONDS = 60.0


class WallClock:
    """Knows how far the wall's clock (`now`) has jumped since the start, compared with one that only goes
    forward (`clock`)."""

    def __init__(self, clock: Callable[[], float], now: Callable[[], float]) -> None:
        self._now = now
        self.began_at = now()
        self._last_look = (clock(), now())
        self._jumped = 0.0
        """Seconds that it has jumped since the start: they make no session older."""
        self._last_jump = (0.0, now())
        """The last of them, and the time before it."""

    def look(self, at: float) -> None:
        """Notices whether the clock was set, or the machine slept, since the last look."""
        before, now = self._last_look, self._now()
        jump = (now - before[1]) - (at - before[0])
        if abs(jump) > JUMP_SECONDS:
            self._jumped += jump
            self._last_jump = jump, before[1]
        self._last_look = at, now

    def jumped_before(self, seen: Stamp | None) -> float:
        """How far the clock had jumped when a file was written that was found changed only now: it may have
        been written just before the last jump."""
        (jump, before), written = (
            self._last_jump,
            seen[2] / 1e9 if seen is not None else self._now(),
        )
        is_older = (
            written < before + jump / 2 if jump > 0 else written > self._now() + JUMP_SECONDS / 2
        )
        return self._jumped - jump if is_older else self._jumped

    def age(self, following: Following) -> float:
        """Seconds since the session's file changed, without those by which the clock has jumped since."""
        if following.seen is None:
            return 0.0
        return self._now() - (self._jumped - following.jumped) - following.seen[2] / 1e9
