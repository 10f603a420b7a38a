"""Bytes into lines: the one place that knows what a line is, for the tailer and for `runcast sync`.

A line ends with LF; a CR right before it belongs to the line's end. A line is bytes until it's cut to
its limit, and text only then, so offsets never drift by what decoding replaced. A whole chunk is split
and decoded at once; only a chunk with something odd in it is looked at line by line.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from runcast.contract import SENTINEL

MAX_LINES = 1_000
"""Lines that one message carries at most."""

_SENTINEL = SENTINEL.encode()

Flags = dict[str, Any]
"""What is odd about one line: `cut` (its whole extent), `invalid_utf8`, `lost`."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Consecutive whole lines, without their ends, and the bytes that they took with them."""

    texts: list[str]
    size: int
    flags: dict[int, Flags] = field(default_factory=dict)
    is_end: bool = False


def split(data: bytes, *, offset: int, limit: int, has_sentinel: bool = True) -> Iterator[Lines]:
    """The lines of `data`, which starts at byte `offset` and ends with LF, `MAX_LINES` at a time.

    A line longer than `limit` bytes is cut there. With `has_sentinel` the last line yielded is the
    sentinel if there's one; what comes after it is left out.
    """
    lines = data.split(b"\n")
    lines.pop()
    last = len(lines)
    if has_sentinel and _SENTINEL in data:
        last = next((n + 1 for n, line in enumerate(lines) if is_sentinel(line)), last)
    for first in range(0, last, MAX_LINES):
        part = lines[first : min(first + MAX_LINES, last)]
        size = sum(map(len, part)) + len(part)
        is_end = has_sentinel and first + len(part) == last and is_sentinel(part[-1])
        texts, flags = _decode(part, offset, limit)
        if offset == 0:
            texts[0] = texts[0].removeprefix("\ufeff")  # a byte order mark is no text
        yield Lines(texts, size, flags, is_end)
        offset += size


def is_sentinel(line: bytes) -> bool:
    """Whether a line, with or without its CR, is the sentinel."""
    return line == _SENTINEL or line == _SENTINEL + b"\r"


def cut(line: bytes, limit: int) -> bytes:
    """At most `limit` bytes of a line, not ending inside a UTF-8 character."""
    end = limit
    while end > max(limit - 3, 0) and line[end : end + 1] and line[end] & 0xC0 == 0x80:
        end -= 1
    return line[:end]


def one(line: bytes, *, offset: int, length: int, limit: int) -> tuple[str, Flags]:
    """The text of a line of which at least the first `limit` bytes are given, `length` in all."""
    flags: Flags = {}
    if length > limit:
        flags["cut"] = {"offset": offset, "length": length}
        line = cut(line, limit)
    if b"\0" in line and (wide := _utf_16(line)) is not None:
        return wide, flags
    try:
        return line.decode(), flags
    except UnicodeDecodeError:
        return line.decode(errors="replace"), flags | {"invalid_utf8": True}


def _utf_16(line: bytes) -> str | None:
    """The text of a line of UTF-16, as Windows programs write it; None if it isn't one.

    Split at the byte of LF, every line but the first begins with the other half of the one before.
    """
    body = line[1:] if line[:1] == b"\0" and len(line) % 2 else line
    if len(body) < 2 or len(body) % 2:
        return None
    encoding = "utf-16-be" if body[:1] == b"\0" or body[:2] == codecs.BOM_UTF16_BE else "utf-16-le"
    high, low = (body[0::2], body[1::2]) if encoding == "utf-16-be" else (body[1::2], body[0::2])
    if high.count(0) * 2 < len(high) or low.count(0) * 4 > len(low):
        return None
    return body.decode(encoding, "replace").removeprefix("\ufeff").removesuffix("\r")


def _decode(lines: list[bytes], offset: int, limit: int) -> tuple[list[str], dict[int, Flags]]:
    body = b"\n".join(lines)
    if b"\r" not in body and b"\0" not in body and max(map(len, lines)) <= limit:
        try:
            return body.decode().split("\n"), {}
        except UnicodeDecodeError:
            pass
    texts: list[str] = []
    flags: dict[int, Flags] = {}
    for number, raw in enumerate(lines):
        line = raw[:-1] if raw.endswith(b"\r") else raw
        text, odd = one(line, offset=offset, length=len(line), limit=limit)
        texts.append(text)
        if odd:
            flags[number] = odd
        offset += len(raw) + 1
    return texts, flags
