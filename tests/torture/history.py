"""What one reader saw, in the order in which it came: what the checker judges.

Numbered frames go into two arrays (number, checksum of the frame's bytes): a run of ten minutes holds
millions of them. Everything else is a note that remembers how many frames came before it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from zlib import crc32

NOTED_SECONDS = 2.0


class Silence(NamedTuple):
    """From one sign of life to the next, by the monotonic clock."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def beyond(self, faults: Iterable[tuple[float, float]]) -> float:
        """How long it went on after the last fault that was under way meanwhile had ended."""
        ends = [end for begin, end in faults if begin < self.ended and end > self.began]
        return max(0.0, self.ended - max([self.began, *ends]))


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filter of a reader: log lines of `logs` beside all other events, or one run's stream alone."""

    logs: frozenset[str] | Literal["all"] = frozenset()
    only_run: str | None = None

    def takes(self, run: str | None, is_log: bool) -> bool:
        """Whether an event of `run` is for this reader."""
        if self.only_run is not None:
            return run == self.only_run
        return not is_log or self.logs == "all" or run in self.logs


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream was answered: `head` of its `connected`, and the position that the hub took."""

    head: int
    resumed_from: int | None
    asked_for: int | None


@dataclass(frozen=True, slots=True)
class Moved:
    """A heartbeat moved the reader's position."""

    to: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Events `first`…`last` were announced as not to come."""

    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True)
class Refiltered:
    """A live change of the filter: it counts for numbers above `after`."""

    after: int
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Backfilled:
    """Lines `first`… of a run came without numbers, with these checksums of their data."""

    run: str
    first: int
    last: int
    head: int
    sums: tuple[int, ...]


Note = Opened | Moved | Gap | Refiltered | Backfilled


@dataclass
class History:
    """One reader's history over all of its connections."""

    name: str
    kind: str
    project: str
    wanted: Wanted
    start: int | None = None
    """The number after which it was to hear everything; None until its first stream answered."""
    ids: array[int] = field(default_factory=lambda: array("q"))
    sums: array[int] = field(default_factory=lambda: array("I"))
    notes: list[tuple[int, Note]] = field(default_factory=list)
    connections: int = 0
    silences: list[Silence] = field(default_factory=list)
    """Those of `NOTED_SECONDS` at least, while it wanted to hear."""
    ended_early: bool = False
    """Whether it left on purpose: then its history need not reach the end."""

    def frame(self, number: int, raw: bytes) -> None:
        """A numbered frame, its bytes up to and without the empty line."""
        self.ids.append(number)
        self.sums.append(crc32(raw))

    def note(self, note: Note) -> None:
        """Anything else, after the frames so far."""
        if isinstance(note, Opened) and self.start is None:
            self.start = note.head if note.asked_for is None else note.asked_for
        self.notes.append((len(self.ids), note))

    def refiltered(self, change: Refiltered) -> None:
        """A change of the filter, of which the reader learnt when more had come already."""
        place = bisect_right(self.ids, change.after)
        later = next(
            (n for n, (at, note) in enumerate(self.notes) if _is_behind(at, note, place, change)),
            len(self.notes),
        )
        self.notes.insert(later, (place, change))

    def begins_at(self, position: int | None) -> None:
        """A new stream has the newest filter: what was changed after its position counts from there."""
        early = [
            (at, note)
            for at, note in self.notes
            if isinstance(note, Refiltered) and position is not None and note.after > position
        ]
        for each in early:
            self.notes.remove(each)
        if early and position is not None:
            newest = early[-1][1]
            assert isinstance(newest, Refiltered)
            self.note(Refiltered(position, newest.wanted))

    def silent(self, began: float, ended: float) -> None:
        """Nothing came between these moments of the monotonic clock, though the reader listened."""
        if ended - began >= NOTED_SECONDS:
            self.silences.append(Silence(began, ended))


def _is_behind(at: int, note: Note, place: int, change: Refiltered) -> bool:
    """Whether a note belongs behind the change: it stands behind it, or says something later."""
    return at > place or (at == place and isinstance(note, Moved) and note.to > change.after)
