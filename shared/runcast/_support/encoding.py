"""JSON as the SDK writes it: anything that a host program hands over has some form."""

import re
from typing import Any

import orjson

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
_SURROGATE = re.compile("[\ud800-\udfff]")


def encode(value: Any) -> bytes:
    """JSON on one line. What JSON doesn't know becomes its text; never raises for content."""
    try:
        return orjson.dumps(value, default=_as_text, option=_OPTIONS)
    except (TypeError, ValueError, RecursionError):
        # Lone surrogates, integers beyond 64 bits, reference circles.
        return orjson.dumps(_plain(value, depth=0))


def printable(text: str) -> str:
    """Text that UTF-8 can hold: a lone surrogate becomes U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _as_text(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return list(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return _safe_repr(value)


def _plain(value: Any, depth: int) -> Any:
    if depth > 64:
        return "…"
    match value:
        case None | bool() | float():
            return value
        case int():
            return value if -(2**63) <= value < 2**64 else str(value)
        case str():
            return printable(value)
        case dict():
            return {printable(str(key)): _plain(each, depth + 1) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(each, depth + 1) for each in value]
        case _:
            return _safe_repr(value)


def _safe_repr(value: Any) -> str:
    try:
        return printable(str(value))
    except Exception:  # a host's own __str__ may raise anything; logging must not
        return f"<{type(value).__name__}>"
