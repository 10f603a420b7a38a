"""Bytes into lines: the one place that knows what a line is, for the tailer and for `runcast sync`.

A line ends with LF; a CR right before it belongs to the line's end. A line is bytes until it's cut to
its limit, and text only then, so offsets never drift by what decoding replaced. A whole chunk is split
and decoded at once; only a chunk with something odd in it is looked at line by line.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from runcast.contract import SENTINEL

MAX_LINES = 1_000
"""Lines that one message carries at most."""

_SENTINEL = SENTINEL.encode()
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_USUAL_CONTROLS = "\t\r\b\f\x1b"

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


def one(
    line: bytes, *, offset: int, length: int, limit: int, order: str | None = None
) -> tuple[str, Flags]:
    """The text of a line of which at least the first `limit` bytes are given, `length` in all. `order`: of
    the bytes of UTF-16, if the lines around it tell."""
    flags: Flags = {}
    if length > limit:
        flags["cut"] = {"offset": offset, "length": length}
        line = cut(line, limit)
    if (b"\0" in line or line[:2] in _MARKS) and (wide := _utf_16(line, order)) is not None:
        return wide, flags
    try:
        return line.decode(), flags
    except UnicodeDecodeError:
        return line.decode(errors="replace"), flags | {"invalid_utf8": True}


def _utf_16(line: bytes, order: str | None = None) -> str | None:
    """The text of a line of UTF-16, as Windows programs write it; None if it isn't one.

    Split at the byte of LF, a little-endian line begins with the other half of the line end before it, and a
    big-endian one ends with the first half of its own. Where both readings are possible, that of `order` is
    taken, else the less odd one.
    """
    if line.startswith(codecs.BOM_UTF16_LE):
        return _ended(line[2:].decode("utf-16-le", "replace"))
    if line.startswith(codecs.BOM_UTF16_BE):
        return _ended(line[2 : len(line) - len(line) % 2].decode("utf-16-be", "replace"))
    little, big = line, line
    may_be_any = bool(order) or (order is None and len(line) % 2 == 1)
    if len(line) % 2:
        little = line[1:] if line[0] == 0 else b""
        big = line[:-1] if line[-1] == 0 else b""
    readings = {
        "le": _reading(little, "utf-16-le", order, is_likely=may_be_any and order != "be"),
        "be": _reading(big, "utf-16-be", order, is_likely=may_be_any and order != "le"),
    }
    found = [each for each in readings.values() if each is not None]
    named = readings.get(order or "")
    return _ended(named or min(found, key=_oddity)) if found else None


def _order(lines: list[bytes], offset: int) -> str | None:
    """The order of bytes in UTF-16, as the lines' ends tell it: empty where they aren't of UTF-16, None where
    they don't tell. With a half of an end a line has an odd number of bytes, and is no UTF-8."""
    if any(line not in (b"", b"\r") and _is_utf_8_text(line) for line in lines):
        return ""
    little = _most(len(line) % 2 and line[0] == 0 for line in lines[1:])
    big = _most(len(line) % 2 and line[-1] == 0 for line in lines)
    if (
        little and big
    ):  # Latin letters stand at both ends: the first line of a file has no end before it
        if offset == 0:
            return "be" if len(lines[0]) % 2 else "le"
        odd = [line for line in lines if line[:1] != line[-1:]]
        return ("le" if odd[0][0] == 0 else "be") if odd else None
    if len(lines) == 1:
        return None
    return "le" if little else "be" if big else ""


def _most(each: Iterable[bool | int]) -> bool:
    """Whether at least three of four are so."""
    found = [bool(one) for one in each]
    return found.count(True) * 4 >= 3 * len(found)


def _reading(body: bytes, encoding: str, order: str | None, *, is_likely: bool) -> str | None:
    """The text of UTF-16 code units, where they can hardly be anything else: most are of Latin letters, or
    UTF-16 is likely, and they are text, and no UTF-8."""
    if not body:
        return None
    big = encoding == "utf-16-be"
    high, low = (body[0::2], body[1::2]) if big else (body[1::2], body[0::2])
    latin = high.count(0) * 4 >= len(high) * (2 if is_likely else 3)
    if latin and low.count(0) * 4 <= len(low):
        return body.decode(encoding, "replace")
    if not is_likely or (order is None and not _is_of_alphabets(high)):
        return None
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError:
        return None
    return text if _is_text(text) and not _is_utf_8_text(body.replace(b"\0", b"")) else None


def _is_of_alphabets(high: bytes) -> bool:
    """Whether most are upper halves of letters that come before U+2000, which no UTF-8 text holds in such
    numbers. Those of ideographs are as any bytes: without neighbours a line of them can't be told."""
    return sum(each < 0x20 and chr(each) not in _USUAL_CONTROLS for each in high) * 4 >= 3 * len(
        high
    )


def _is_text(text: str) -> bool:
    return all(
        each in _USUAL_CONTROLS or unicodedata.category(each) not in ("Cc", "Cn", "Co", "Cs")
        for each in text
    )


def _is_utf_8_text(body: bytes) -> bool:
    try:
        return _is_text(body.decode())
    except UnicodeDecodeError:
        return False


def _oddity(text: str) -> tuple[bool, int, int]:
    """Whether it is no text, of how many blocks its characters are, and how many of them are neither letters
    nor digits nor spaces."""
    blocks = {ord(each) >> 8 for each in text}
    others = sum(not (each.isalnum() or each.isspace()) for each in text)
    return not _is_text(text), len(blocks), others


def _ended(text: str) -> str:
    return text.removeprefix("\ufeff").removesuffix("\r")


def _decode(lines: list[bytes], offset: int, limit: int) -> tuple[list[str], dict[int, Flags]]:
    body = b"\n".join(lines)
    if b"\r" not in body and b"\0" not in body and max(map(len, lines)) <= limit:
        try:
            return body.decode().split("\n"), {}
        except UnicodeDecodeError:
            pass
    order = _order(lines, offset) if b"\0" in body else None
    texts: list[str] = []
    flags: dict[int, Flags] = {}
    for number, raw in enumerate(lines):
        line = raw[:-1] if raw.endswith(b"\r") else raw
        text, odd = one(line, offset=offset, length=len(line), limit=limit, order=order)
        texts.append(text)
        if odd:
            flags[number] = odd
        offset += len(raw) + 1
    if "\0" in texts and any(map(_utf_16, lines)):
        texts = ["" if text == "\0" else text for text in texts]  # empty lines of UTF-16
    return texts, flags
