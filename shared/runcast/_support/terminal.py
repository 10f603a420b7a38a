"""Text from programs we don't know, on its way into a log and onto a terminal."""

import re

from runcast.contract import TEXT_BYTES

_CONTROL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours among them
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f]).*?(?:\x1b\\|\x07|\x9c|$)"  # OSC, DCS … and what they carry
    r"|\x1b[ -/]*[0-~]"  # two-character sequences
    r"|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]|\x1b",
    re.DOTALL,
)
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Bidi controls: they let a text look like another one (Unicode TR 36, "Trojan Source")."""
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""What has no picture, or changes how its neighbours look."""
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_RESET = "\x1b[0m"


def harmless(text: str, *, colours: bool) -> str:
    """Text that can only be read: without what moves the cursor, sets the title, or makes the
    terminal answer. What turns the direction of writing is shown by its number. With `colours` those
    stay, and end with the text."""
    if text.isprintable():
        return text
    text = _DIRECTION.sub(lambda found: f"<U+{ord(found.group()):04X}>", text)
    kept = _CONTROL.sub(lambda found: _kept(found.group(), colours), text)
    return kept + _RESET if colours and "\x1b[" in kept else kept


def escaped(text: str) -> str:
    """Text that a person decides about: nothing of it is left out. What can't be seen, or would command the
    terminal, is shown by its number; line ends and tabs stay."""
    if text.isprintable() and not _UNSEEN.search(text):
        return text
    return _UNSEEN.sub(lambda found: f"<U+{ord(found.group()):04X}>", text)


def _kept(sequence: str, colours: bool) -> str:
    return sequence if colours and _COLOUR.fullmatch(sequence) else ""


class LineSplitter:
    """Bytes that a program writes, as the lines that a terminal would be left with.

    A carriage return begins the line again, so a progress bar is one line, in its last state. The
    line's end, and a CR before it, are not part of it.
    """

    def __init__(self, limit_bytes: int = TEXT_BYTES) -> None:
        """A line of more than `limit_bytes` is told in pieces of that size, so that output without
        line ends takes no memory, and nothing of it is cut."""
        self._limit = limit_bytes
        self._partial: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[str]:
        """The lines that the bytes complete."""
        lines: list[str] = []
        if b"\n" in data:
            *whole, data = b"".join((*self._partial, data)).split(b"\n")
            self._let_go()
            for line in whole:
                lines += self._pieces(line)
        self._keep(data)
        if self._size > self._limit:
            *pieces, rest = _cut(b"".join(self._partial), self._limit)
            self._let_go()
            self._keep(rest)
            lines += [_last_state(piece) for piece in pieces]
        return lines

    def finish(self) -> list[str]:
        """The last line, if it has no end."""
        rest = b"".join(self._partial)
        self._let_go()
        return self._pieces(rest) if rest.strip(b"\r") else []

    def _pieces(self, line: bytes) -> list[str]:
        if len(line) <= self._limit:
            return [_last_state(line)]
        return [_last_state(piece) for piece in _cut(_last_bytes(line), self._limit)]

    def _let_go(self) -> None:
        self._partial, self._size = [], 0

    def _keep(self, data: bytes) -> None:
        """Of a line in the making only what no CR has overwritten yet. A CR at its very end may
        belong to the line's end, so it only counts once something else follows."""
        if not data:
            return
        start = data.rfind(b"\r", 0, len(data.rstrip(b"\r")))
        ended = bool(self._partial) and self._partial[-1].endswith(b"\r")
        if start >= 0 or (ended and data.strip(b"\r")):
            self._let_go()
        self._partial.append(data[start + 1 :])
        self._size += len(data) - start - 1


def _cut(line: bytes, limit: int) -> list[bytes]:
    """Pieces of at most this many bytes, none beginning inside a UTF-8 character."""
    pieces, start = [], 0
    while len(line) - start > limit:
        end = start + limit
        while end > start + limit - 3 and line[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(line[start:end])
        start = end
    return [*pieces, line[start:]]


def _last_bytes(line: bytes) -> bytes:
    line = line.removesuffix(b"\r")
    if b"\r" in line:
        line = next((each for each in reversed(line.split(b"\r")) if each), b"")
    return line


def _last_state(line: bytes) -> str:
    return _last_bytes(line).decode("utf-8", "replace")
