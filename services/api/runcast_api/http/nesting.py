"""How many values JSON holds, and how deep: what is read must also be written again, and reading it must not
take the event loop from everyone else.

A megabyte may hold 350,000 arrays, which take as long to make as hundreds of ordinary requests, and eight of
them stopped a server for seconds. Both is seen in the text before anything is made of it, by operations on
bytes that go through it some dozen times faster than the reader does.
"""

from __future__ import annotations

from typing import Any

import orjson

MOST = 100_000
"""Arrays and objects of one body at most: some 20 ms to read. A larger table is uploaded as a file."""
MOST_VALUES = 1_000_000
"""Values behind a comma, for the same reason."""
LIMITS = f"at most {MOST:,} arrays and objects, and {MOST_VALUES:,} values"
_AS_ARRAYS = bytes.maketrans(b"{}", b"[]")
_EVERY = bytes(range(256))


def has_many(text: bytes, most: int = MOST, most_values: int = MOST_VALUES) -> bool:
    """Whether JSON holds more than `most` arrays and objects, or more than `most_values` commas between them
    and other values."""
    return _has_more(text, b"[{", most) or _has_more(text, b",", most_values)


def is_deeper(text: bytes, depth: int) -> bool:
    """Whether arrays and objects of JSON are nested more than `depth` deep."""
    if text.count(b"[") + text.count(b"{") <= depth:
        return False
    left = b"".join(_marks(text, b"[]{}").split(b'"')[::2]).translate(_AS_ARRAYS)
    for _ in range(depth):
        if not left:
            return False
        left = left.replace(b"[]", b"")
    return bool(left)


def loads(text: str) -> Any:
    """The value of a text within other JSON, which may be JSON itself. Raises `orjson.JSONDecodeError`, also
    where it holds too much."""
    if has_many(text.encode("utf-8", "replace")):
        raise orjson.JSONDecodeError(LIMITS, text[:100], 0)
    return orjson.loads(text)


def _has_more(text: bytes, signs: bytes, most: int) -> bool:
    """Whether more than `most` of some signs stand outside of strings."""
    if sum(text.count(bytes((sign,))) for sign in signs) <= most:
        return False
    marks = _marks(text, signs)
    # Between two of the strings that are left stands a sign at least.
    return marks.count(b'"') > 2 * most + 2 or len(b"".join(marks.split(b'"')[::2])) > most


def _marks(text: bytes, signs: bytes) -> bytes:
    """These signs of JSON, and the quotes around strings that hold some of them."""
    # Backslashes stand in strings alone, and a run of them begins with an escape.
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in text else text
    # Two quotes with nothing between them change nothing of what is inside and what outside of strings.
    return plain.translate(None, _EVERY.translate(None, b'"' + signs)).replace(b'""', b"")
