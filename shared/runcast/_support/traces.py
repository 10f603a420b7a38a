"""Which lines belong to the line before them: a trace has the level and the time of the line it explains.

A program that logs an exception writes one line with a level, and behind it the trace, whose lines name none.
Lines that are indented belong to the entry above them, and so do the headings and last lines of traces where
that entry is a warning or worse. A trace without such an entry is an error by itself: the program crashed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from runcast._support.said import CRASHED, NOTHING, Said

CRASHES = (
    "Traceback (most recent call last):",
    "panic: ",
    "fatal error: ",
    "thread '",
    "Exception in thread ",
    "Unhandled exception",
    "Uncaught ",
)
"""How a trace begins that no logger has announced: Python, Go, Rust, Java, .NET, JavaScript."""
KEPT_CHARACTERS = 512
"""Characters of a line that are kept of it as context."""
_GRAVE = frozenset({"warning", "error", "critical"})
_HEADING = re.compile(
    r"goroutine \d+ |Caused by: |Suppressed: |During handling of the above exception"
    r"|The above exception was the direct cause|stack backtrace:|note: run with `RUST"
    r"|(?:[A-Za-z_][\w.$]{0,200})?(?:Error|Exception|Throwable|Interrupt|Exit|Warning)(?:: |:?$)"
)
_LAST = re.compile(r"[A-Za-z_][\w.]{0,200}(?:: |$)")
"""The last line of a trace of Python: the exception's class, and what it says."""


class Entries:
    """Reads lines in order, and knows to which entry each belongs."""

    def __init__(self) -> None:
        self._entry: Said | None = None
        self._kind = ""
        self._is_inside = False
        self._last = ""

    def place(self, text: str, said: Said) -> Said:
        """What the line says about itself or, where that is nothing, what its entry does."""
        is_crash = said is CRASHED
        if said is NOTHING or is_crash:
            belongs = self._belongs(text, is_crash)
            self._last = text[:1]
            if belongs and self._entry is not None:
                return self._entry
        self._entry = said if said.level else None
        self._kind = _kind(text) if is_crash else ""
        self._is_inside = is_crash
        self._last = text[:1]
        return said

    def _belongs(self, text: str, is_crash: bool) -> bool:
        if self._entry is None:
            return False
        if text[:1] in (" ", "\t"):
            self._is_inside = True
            return True
        if not text:
            return self._is_inside
        if self._entry.level not in _GRAVE:
            return False
        if is_crash or _HEADING.match(text):
            self._kind, self._is_inside = _kind(text) or self._kind, True
            return True
        if self._kind == "go":
            return self._last != "" or text.startswith("[signal")
        return self._kind == "python" and self._last == " " and _LAST.match(text) is not None


def is_crash(text: str) -> bool:
    """Whether a line begins a trace that no logger has announced."""
    return text.startswith(CRASHES) and (text[:8] != "thread '" or "' panicked at" in text)


def may_belong(text: str) -> bool:
    """Whether a line can belong to the one before it, by its looks alone."""
    return text[:1] in (" ", "\t", "") or _HEADING.match(text) is not None or is_crash(text)


def context(above: Sequence[str], texts: Sequence[str]) -> list[str]:
    """What has to be known of these lines, and of the context before them, to place the lines that follow:
    the line that began the entry, the last heading of a trace, and the last line. Each is cut."""
    lines = [*above, *texts]
    first = next((n for n in range(len(lines) - 1, -1, -1) if not may_belong(lines[n])), 0)
    entry = _open(lines[first:])
    if not entry:
        return []
    heading = [line for line in entry[1:-1] if line[:1] not in (" ", "\t", "")][-1:]
    return [line[:KEPT_CHARACTERS] for line in (entry[0], *heading, *entry[1:][-1:])]


def _open(entry: list[str]) -> list[str]:
    """The entry from where it is one: an empty line ends what no trace has begun yet."""
    begin, is_inside = 0, is_crash(entry[0]) if entry else False
    for number, line in enumerate(entry[1:], 1):
        if line:
            is_inside = True
        elif not is_inside:
            begin = number + 1
    return entry[begin:]


def needed(above: Sequence[str], texts: Sequence[str]) -> list[str]:
    """The context that a sender says beside these lines: none where the first one begins an entry itself."""
    if not texts or not above or not (len(above) > 1 or may_belong(texts[0])):
        return []
    return list(above)


def _kind(text: str) -> str:
    if text.startswith("Traceback ("):
        return "python"
    return "go" if text.startswith(("goroutine ", "panic: ", "fatal error: ")) else ""
