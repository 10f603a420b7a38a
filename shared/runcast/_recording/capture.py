"""Records what a program prints, beside printing it."""

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from runcast._support.terminal import LineSplitter

Take = Callable[[str, list[str]], object]


class Capture:
    """Stands before `sys.stdout` and `sys.stderr` from `start` to `stop`.

    What Python code prints is recorded; what other processes, or C code, write to the file
    descriptors is not.
    """

    def __init__(self, take: Take) -> None:
        self._streams = {name: Tee(getattr(sys, name), name, take) for name in ("stdout", "stderr")}

    def start(self) -> None:
        for name, tee in self._streams.items():
            setattr(sys, name, tee)

    def stop(self) -> None:
        """Puts the originals back, unless somebody else has put theirs there since."""
        for name, tee in self._streams.items():
            if getattr(sys, name) is tee:
                setattr(sys, name, tee.original)
            tee.finish()


class Tee:
    """A text stream that is written through to the original, then recorded line by line."""

    def __init__(self, original: TextIO, source: str, take: Take) -> None:
        self.original = original
        self._source = source
        self._take = take
        self._splitter = LineSplitter()
        self._busy = threading.local()

    def write(self, text: str) -> int:
        written = self.original.write(text)
        # Recording may print itself (a warning on stderr): that goes to the original alone.
        if not getattr(self._busy, "is_set", False):
            self._busy.is_set = True
            try:
                self._record(self._splitter.feed(text.encode("utf-8", "replace")))
            finally:
                self._busy.is_set = False
        return written

    def writelines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.write(text)

    def finish(self) -> None:
        self._record(self._splitter.finish())

    def _record(self, lines: list[str]) -> None:
        if lines:
            self._take(self._source, lines)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)
