"""One source of one run: its file, what's under way of it, and how the two meet the committed cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from runcast_tailer.encoder import Sender
from runcast_tailer.file_identity import Committed, Cursor
from runcast_tailer.file_reader import Batch, Follower
from runcast_tailer.window import Sent, Window


@dataclass(eq=False, slots=True)
class Tail:
    """Reads ahead of the committed cursor by at most its window, and back to it when it has to."""

    follower: Follower
    window: Window
    sender: Sender

    def step(self, now: float) -> bool:
        """Looks at the file and takes what's new into the window. True if there was something. Where that
        fails, the file is read again from where it stood."""
        budget = self.window.budget.left_for(self.window)
        if not budget:
            return False
        return self._take(lambda: self.follower.step(budget, settled=not self.window), now)

    def finish(self, reason: str, now: float, size: tuple[int, int] | None = None) -> bool:
        """Closes the log, unless there is more to read first. Raises `OSError`."""
        return self._take(lambda: self.follower.finish(reason, size), now)

    def _take(self, read: Callable[[], list[Batch]], now: float) -> bool:
        follower = self.follower
        stood = Committed(
            follower.cursor, follower.file, None, follower.closed, 0, 0, follower.bytes_after_end
        )
        try:
            messages = [self._message(batch) for batch in read()]
        except Exception:
            follower.resume(stood)
            raise
        for message in messages:
            self.window.add(message, now)
        return bool(messages)

    def _message(self, batch: Batch) -> Sent:
        payload, closes = self.sender.encode(batch), bool(batch.closed)
        after_end, stream = batch.bytes_after_end, self.sender.stream
        return Sent(batch.first, batch.after, payload, closes, after_end, stream=stream)

    def unsent(self) -> Iterator[Sent]:
        """What has to go into the ingest stream, in order."""
        return (message for message in self.window.sent if message.entry is None)

    def committed(self, committed: Committed, now: float) -> None:
        """Takes note of what Postgres holds of this source.

        Further than was read here: someone else has brought it, and reading goes on from there. Back
        before what's kept here (the database was restored): the file is read again from there. Ended
        before what's kept here: no more of it will ever be taken.
        """
        self.window.acknowledge(committed, now)
        here, there = self.follower.cursor, committed.cursor
        is_same = there.generation == here.generation
        if is_same and committed.closed_reason == "sentinel" and not self.follower.is_ended:
            self._go_back(committed)
        elif _place(there) > _place(here):
            self.window.clear()
            if is_same:
                self.follower.advance(committed)
            else:
                self.follower.resume(committed)
        elif self.window.is_behind(there) or (not self.window and _went_back(here, there)):
            self._go_back(committed)

    def _go_back(self, committed: Committed) -> None:
        self.window.clear()
        self.follower.resume(committed)


def _place(cursor: Cursor) -> tuple[int, int]:
    return cursor.generation, cursor.line


def _went_back(here: Cursor, there: Cursor) -> bool:
    is_new_generation = here.line == 1 and there.generation == here.generation - 1
    return _place(there) < _place(here) and not is_new_generation
