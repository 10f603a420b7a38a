"""JSON as the SDK writes it: anything that a host program hands over has some form."""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import orjson

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z | orjson.OPT_SERIALIZE_NUMPY
_SURROGATE = re.compile("[\ud800-\udfff]")
_DEPTH = 64
_VALUES = 1_000_000


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
    """The value as JSON's own types, nested at most so deep. What lies deeper, or in itself, becomes `…`, and
    so does what comes behind a million values: of objects that refer to one another there is no end."""
    return _Plain().of(value, depth)


class _Plain:
    """Asks the built-in methods of JSON's own types, and of types made from them: a host's may raise
    anything."""

    def __init__(self) -> None:
        self._left = _VALUES
        self._above: set[int] = set()

    def of(self, value: Any, depth: int) -> Any:
        self._left -= 1
        match value:
            case None | bool():
                return value
            case float():
                return float.__float__(value)
            case int():
                return _number(int.__int__(value))
            case str():
                return printable(str.__str__(value))
            case dict() | list() | tuple() | set() | frozenset() | deque():
                return self._inside(value, depth)
            case orjson.Fragment():
                return self.of(orjson.loads(value.contents), depth)
            case Mapping():
                return self._mapping(value, depth)
            case _:
                return as_text(value)

    def _inside(self, value: Any, depth: int) -> Any:
        if depth <= 0 or self._left <= 0 or id(value) in self._above:
            return "…"
        self._above.add(id(value))
        try:
            if isinstance(value, dict):
                members = list(dict.items(value))
                return {as_text(key): self.of(each, depth - 1) for key, each in members}
            return [self.of(each, depth - 1) for each in _ITEMS[_base(value)](value)]
        finally:
            self._above.discard(id(value))

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> Any:
        try:
            return self._inside(dict(value), depth)
        except Exception:  # a host's own mapping may raise anything
            return as_text(value)


def _listed(iterate: Callable[[Any], Iterator[Any]], value: Any) -> list[Any]:
    return list(iterate(value))


_ITEMS: dict[type, Callable[[Any], list[Any]]] = {
    kind: partial(_listed, kind.__iter__) for kind in (list, tuple, set, frozenset, deque)
}


def _base(value: Any) -> type:
    return next(kind for kind in _ITEMS if isinstance(value, kind))


def _number(value: int) -> int | str:
    if -(2**63) <= value < 2**64:
        return value
    try:
        return str(value)
    except ValueError:  # thousands of digits
        return hex(value)


def printable(text: str) -> str:
    """Text that UTF-8 can hold: a lone surrogate becomes U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def as_text(value: Any) -> str:
    """The text of anything. A text of a host's own type is what it holds, like that of an enumeration."""
    if isinstance(value, str):
        return printable(str.__str__(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "replace")
    try:
        return printable(str(value))
    except Exception:  # a host's own __str__ may raise anything
        pass
    return (
        str(_number(int.__int__(value))) if isinstance(value, int) else f"<{type(value).__name__}>"
    )


def _default(value: Any) -> Any:
    if isinstance(value, (set, frozenset, deque)):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if type(value).__module__ == "numpy":  # an array that orjson doesn't take, because of its order
        return value.tolist()
    return as_text(value)
