"""What was sent and isn't committed yet: the back-pressure, and what a rewind sends again.

Messages stay here until the committed cursor has passed them, so a rewind needs no file: what was read
once is safe from truncation as long as this process lives. The sum of their bytes is bounded, per file
and over all files; the file is the buffer for the rest. Stream entries say nothing about size, so bytes
are what's counted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from runcast import contract
from runcast_tailer.file_identity import Committed, Cursor


@dataclass(eq=False, slots=True)
class Sent:
    """One message for the ingest stream `stream`. `entry` is its id there, None while it isn't there."""

    first: Cursor
    after: Cursor
    payload: bytes
    closes: bool = False
    bytes_after_end: int = 0
    entry: str | None = None
    stream: str = contract.TAILER_STREAM


HOLD_SECONDS = 0.1
LEAST_WINDOW = 256 * 1024
MOST_WINDOW = 2 * 1024 * 1024


@dataclass(slots=True)
class Budget:
    """Bytes that all windows together may hold, and one of them.

    What is under way is what everybody else waits behind, so a window holds about as much as is committed
    in `HOLD_SECONDS`, as `pace` finds it: enough to keep the ingester busy, little enough that a line of
    another file comes soon.
    """

    total: int = 2 * MOST_WINDOW
    one: int = LEAST_WINDOW
    least: int = 64 * 1024
    used: int = 0
    acknowledged: int = 0
    paced_at: float = 0.0

    def pace(self, now: float) -> None:
        """Fits the windows to how fast they were emptied since the last time."""
        seconds = now - self.paced_at
        if seconds > 0:
            held = self.acknowledged / seconds * HOLD_SECONDS
            self.one = int(min(max(held, LEAST_WINDOW), MOST_WINDOW))
        self.acknowledged, self.paced_at = 0, now

    def left_for(self, window: Window) -> int:
        """What a window may still take. A quiet file always gets a little, however full the others are."""
        if window.size + self.least > self.one:
            return 0
        return max(min(self.one - window.size, self.total - self.used), self.least)


@dataclass(eq=False, slots=True)
class Window:
    """The messages of one source that aren't committed, oldest first."""

    budget: Budget
    sent: deque[Sent] = field(default_factory=deque)
    size: int = 0
    still_since: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.sent)

    def add(self, message: Sent, now: float) -> None:
        if not self.sent:
            self.still_since = now
        self.sent.append(message)
        self._grow(len(message.payload))

    def acknowledge(self, committed: Committed, now: float) -> None:
        """Lets go of what the committed cursor has passed."""
        while self.sent and _covers(committed, self.sent[0]):
            size = len(self.sent.popleft().payload)
            self.budget.acknowledged += size
            self._grow(-size)
            self.still_since = now

    def is_behind(self, committed: Cursor) -> bool:
        """Whether the committed cursor went back to before everything that's kept here."""
        if not self.sent:
            return False
        first = self.sent[0].first
        return (committed.generation, committed.line) < (first.generation, first.line) and not (
            first.line == 1 and committed.generation == first.generation - 1
        )

    def rewind(self, now: float) -> None:
        """Everything that isn't committed has to be sent again."""
        self.still_since = now
        for message in self.sent:
            message.entry = None

    def clear(self) -> None:
        self._grow(-self.size)
        self.sent.clear()

    def _grow(self, size: int) -> None:
        self.size += size
        self.budget.used += size


def _covers(committed: Committed, message: Sent) -> bool:
    at, after = committed.cursor, message.after
    if at.generation != after.generation:
        return at.generation > after.generation
    if at.line != after.line:
        return at.line > after.line
    is_closed = not message.closes or committed.closed_reason is not None
    return is_closed and committed.bytes_after_end >= message.bytes_after_end
