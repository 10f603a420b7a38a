"""Records what a program prints, and prints it all the same.

One pair of streams for the whole process, however many runs capture at once: each portion is recorded by the
run that is current where it is printed, or by the one that began to capture last. (A stream for each run,
one on top of the other, could not be taken away again when runs overlap.)
"""

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from runcast._support.fork_renewal import fork_renewal
from runcast._support.terminal import LineSplitter
from runcast._tracking.current import Current

Take = Callable[[str, str], object]
_NAMES = ("stdout", "stderr")


current_session: Current[object] = Current("runcast_session")
"""The session whose block the code at hand is in."""


class Captured:
    """A run that captures: who is told of what is printed, and the line of each stream that has no end yet.

    Threads and signal handlers print at any time, so `take` is told at once, and calls `split` when the
    run has its turn: one call after the other.
    """

    def __init__(self, take: Take) -> None:
        self.take = take
        self.renew_after_fork()
        fork_renewal.add(self)

    def renew_after_fork(self) -> None:
        """A line that the parent has begun is the parent's."""
        self._splitters = {name: LineSplitter() for name in _NAMES}

    def split(self, name: str, text: str) -> list[str]:
        """The lines that the text completes."""
        return self._splitters[name].feed(text.encode("utf-8", "replace"))

    def finish(self) -> list[tuple[str, list[str]]]:
        """The last lines, without their ends."""
        return [(name, lines) for name in _NAMES if (lines := self._splitters[name].finish())]


class Capture:
    """Stands before `sys.stdout` and `sys.stderr` while any run captures.

    What Python code prints is recorded; what other processes, or C code, write to the file
    descriptors is not.
    """

    def __init__(self) -> None:
        self._runs: tuple[tuple[object, Captured], ...] = ()
        self._tees: dict[str, Tee] = {}
        self._lock = threading.RLock()
        fork_renewal.add(self)

    def renew_after_fork(self) -> None:
        self._lock = threading.RLock()

    def start(self, run: object, take: Take) -> Captured:
        """Begins to record for a run."""
        captured = Captured(take)
        with self._lock:
            self._runs = (*self._runs, (run, captured))
            for name in _NAMES:
                if not isinstance(getattr(sys, name), Tee) and getattr(sys, name) is not None:
                    self._tees[name] = Tee(getattr(sys, name), name, self)
                    setattr(sys, name, self._tees[name])
        return captured

    def stop(self, run: object) -> list[tuple[str, list[str]]]:
        """Records no more for a run; answers its last lines. Without any run the originals are put back,
        unless other code has put its own there since."""
        with self._lock:
            ended = [captured for each, captured in self._runs if each is run]
            self._runs = tuple(each for each in self._runs if each[0] is not run)
            if not self._runs:
                for name, tee in self._tees.items():
                    if getattr(sys, name) is tee:
                        setattr(sys, name, tee.original)
                self._tees = {}
        return [each for captured in ended for each in captured.finish()]

    def of(self, current: object | None) -> Captured | None:
        """Whose output it is that is printed where this run is current."""
        runs = self._runs
        found = next((captured for run, captured in runs if run is current), None)
        return found or (runs[-1][1] if runs else None)


class Tee:
    """A text stream that is written through to the original, then recorded line by line."""

    def __init__(self, original: TextIO, name: str, capture: Capture) -> None:
        self.original = original
        self._name = name
        self._capture = capture

    def write(self, text: str) -> int:
        written = self.original.write(text)
        if (captured := self._capture.of(current_session.get())) is not None:
            captured.take(self._name, text)
        return written

    def writelines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


capture = Capture()
"""That of this process."""
