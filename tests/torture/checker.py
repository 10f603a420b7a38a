"""The verdict on a reader's history, and on what became of a writer's events. Pure functions.

A reader's numbered frames must be exactly the events that its filter wants, from where it began to the
end, each once, in order, byte for byte as stored; what is missing must have been announced by a `gap`,
and a heartbeat must never move the position past an event that is still to come. Between two notes that
is one comparison of two arrays; only where it fails is the history gone through frame by frame.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.torture.history import (
    Backfilled,
    Gap,
    History,
    Moved,
    Note,
    Opened,
    Refiltered,
    Wanted,
)
from tests.torture.truth import Truth


@dataclass
class Verdict:
    """What was wrong with one history: numbers of events, unless said otherwise."""

    reader: str
    checked: int = 0
    lost: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    reordered: list[int] = field(default_factory=list)
    altered: list[int] = field(default_factory=list)
    unwanted: list[int] = field(default_factory=list)
    misled: list[str] = field(default_factory=list)
    """Control frames that said what isn't so, in words."""
    announced: int = 0
    """Wanted events that a `gap` covered."""

    @property
    def is_clean(self) -> bool:
        return not (
            self.lost
            or self.doubled
            or self.reordered
            or self.altered
            or self.unwanted
            or self.misled
        )

    def __str__(self) -> str:
        faults = {
            name: f"{len(found)} ({', '.join(map(str, found[:5]))})"
            for name in ("lost", "doubled", "reordered", "altered", "unwanted", "misled")
            if (found := getattr(self, name))
        }
        told = ", ".join(f"{name} {found}" for name, found in faults.items()) or "clean"
        return f"{self.reader}: {self.checked} checked, {told}"


def check(history: History, truth: Truth) -> Verdict:
    """Judges a whole history against the events that Postgres holds at the end."""
    judge = _Judge(history, truth)
    before = 0
    for position, note in history.notes:
        judge.frames(before, position)
        judge.note(note)
        before = position
    judge.frames(before, len(history.ids))
    judge.end()
    return judge.verdict


class _Judge:
    """Goes through one history. `_cursor` is the highest number that is settled, one way or other."""

    def __init__(self, history: History, truth: Truth) -> None:
        self.verdict = Verdict(history.name)
        self._history = history
        self._truth = truth
        self._wanted: Wanted = history.wanted
        self._expected = truth.of(history.wanted)
        self._cursor = history.start or 0
        self._next = self._expected.index_after(self._cursor)
        self._missing: set[int] = set()

    def frames(self, first: int, last: int) -> None:
        ids, sums = self._history.ids[first:last], self._history.sums[first:last]
        self.verdict.checked += len(ids)
        end = self._next + len(ids)
        if ids == self._expected.ids[self._next : end] and (
            sums == self._expected.sums[self._next : end]
        ):
            self._next = end
            if ids:
                self._cursor = ids[-1]
            return
        for number, checksum in zip(ids, sums, strict=True):
            self._frame(number, checksum)

    def _frame(self, number: int, checksum: int) -> None:
        if not 0 < number <= self._truth.last:
            self.verdict.misled.append(f"event {number} doesn't exist")
            return
        if self._truth.sums[number - 1] != checksum:
            self.verdict.altered.append(number)
        if not self._wanted.takes(*self._truth.route(number)):
            self.verdict.unwanted.append(number)
        elif number in self._missing:
            self._missing.discard(number)
            self.verdict.reordered.append(number)
        elif number <= self._cursor:
            self.verdict.doubled.append(number)
        else:
            self._settle(number - 1)
            self._next += 1
            self._cursor = number

    def _settle(self, number: int) -> None:
        """Whatever is wanted up to `number` and didn't come is missing."""
        while self._next < len(self._expected.ids) and self._expected.ids[self._next] <= number:
            self._missing.add(self._expected.ids[self._next])
            self._next += 1
        self._cursor = max(self._cursor, number)

    def note(self, note: Note) -> None:
        match note:
            case Moved(to):
                self._moved(to)
            case Gap():
                self._gap(note)
            case Opened():
                self._opened(note)
            case Refiltered(after, wanted):
                self._settle(after)
                self._wanted = wanted
                self._expected = self._truth.of(wanted)
                self._next = self._expected.index_after(after)
            case Backfilled():
                self._backfilled(note)

    def _moved(self, to: int) -> None:
        if to > self._truth.last:
            self.verdict.misled.append(f"a heartbeat at {to}, beyond the last event")
        elif to < self._cursor:
            self.verdict.misled.append(f"a heartbeat at {to}, behind {self._cursor}")
        else:
            self._settle(to)

    def _gap(self, gap: Gap) -> None:
        if gap.reason == "retention" and gap.last > self._truth.floor:
            self.verdict.misled.append(f"a retention gap to {gap.last} above the floor")
        if gap.first > self._cursor + 1:
            self._settle(gap.first - 1)
        before = self._next
        self._next = max(before, self._expected.index_after(gap.last))
        self.verdict.announced += self._next - before
        self._cursor = max(self._cursor, gap.last)

    def _opened(self, opened: Opened) -> None:
        if opened.head > self._truth.last:
            self.verdict.misled.append(f"connected at {opened.head}, beyond the last event")
        if opened.asked_for is not None and opened.resumed_from != opened.asked_for:
            self.verdict.misled.append(
                f"asked for {opened.asked_for}, resumed from {opened.resumed_from}"
            )

    def _backfilled(self, lines: Backfilled) -> None:
        stored = self._truth.lines(lines.run)
        last = stored.upto(lines.head)
        if lines.last != last or list(lines.sums) != stored.sums[lines.first - 1 : last]:
            self.verdict.misled.append(
                f"backfill of {lines.run}: {lines.first}…{lines.last}, stored to {last}"
            )

    def end(self) -> None:
        if not self._history.ended_early and self._history.start is not None:
            self._settle(self._truth.last)
        self.verdict.lost += sorted(self._missing)


@dataclass
class Account:
    """What became of one writer's events: serial numbers of its own."""

    writer: str
    written: int
    lost: list[int]
    doubled: list[int]
    reordered: list[int]

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.reordered)

    def __str__(self) -> str:
        told = [
            f"{name} {len(found)} ({', '.join(map(str, found[:5]))})"
            for name in ("lost", "doubled", "reordered")
            if (found := getattr(self, name))
        ]
        return f"{self.writer}: {self.written} written, {', '.join(told) or 'clean'}"


def account(
    writer: str, accepted: Iterable[int], stored: Sequence[int], *, in_order: bool
) -> Account:
    """Compares what a writer was promised with what is stored, in the order of the numbers."""
    counts = Counter(stored)
    lost = sorted(set(accepted) - counts.keys())
    doubled = sorted(serial for serial, count in counts.items() if count > 1)
    reordered = (
        [after for before, after in itertools.pairwise(stored) if after < before]
        if in_order
        else []
    )
    return Account(writer, len(counts), lost, doubled, reordered)
