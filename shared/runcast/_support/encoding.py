"""JSON as the SDK writes it: anything that a host program hands over has some form."""

import re
from typing import Any

import orjson

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
_SURROGATE = re.compile("[\ud800-\udfff]")
_DEPTH = 64


def encode(value: Any) -> bytes:
    """JSON on one line. What JSON doesn't know becomes its text; never raises for content."""
    try:
        return orjson.dumps(value, default=_default, option=_OPTIONS)
    except Exception:
        # Lone surrogates, integers beyond 64 bits, reference circles, hosts' own types.
        return orjson.dumps(plain(value, _DEPTH))


def decode(text: bytes) -> Any:
    """The value of JSON that `encode` wrote."""
    return orjson.loads(text)


def plain(value: Any, depth: int) -> Any:
    """The value as JSON's own types, nested at most so deep; what lies deeper becomes `…`."""
    match value:
        case None | bool():
            return value
        case float():
            return float(value)
        case int():
            return int(value) if -(2**63) <= value < 2**64 else str(int(value))
        case str():
            return printable(str(value))
        case dict() | list() | tuple() | set() | frozenset() if depth <= 0:
            return "…"
        case dict():
            return {as_text(key): plain(each, depth - 1) for key, each in list(value.items())}
        case list() | tuple() | set() | frozenset():
            return [plain(each, depth - 1) for each in list(value)]
        case orjson.Fragment():
            return plain(orjson.loads(value.contents), depth)
        case _:
            return _default(value)


def printable(text: str) -> str:
    """Text that UTF-8 can hold: a lone surrogate becomes U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def as_text(value: Any) -> str:
    """The text of anything."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    try:
        return printable(str(value))
    except Exception:  # a host's own __str__ may raise anything; recording must not
        return f"<{type(value).__name__}>"


def _default(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return list(value)
    return as_text(value)
