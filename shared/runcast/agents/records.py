"""JSON as agents write it: programs in JavaScript cut texts in the middle of a surrogate pair (`"\\ud83d"`),
which strict readers refuse. Such a half becomes U+FFFD, and the record counts."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

_MAY_HOLD_HALVES = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
_HALF = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\ufffd"
_DEPTH = 200
_INTEGER_DIGITS = 18
"""More digits may not fit into 64 bits: such a number becomes a float, as in the strict reader."""


def loads(text: bytes | str) -> Any:
    """The value of a JSON text. Raises `ValueError` for what is none, and for what holds halves of surrogate
    pairs beneath more than 200 levels."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        encoded = text.encode(errors="surrogatepass") if isinstance(text, str) else text
        if not _MAY_HOLD_HALVES.search(encoded):
            raise
    try:
        found = json.loads(
            encoded.decode(errors="surrogatepass"), parse_int=_number, parse_constant=_refused
        )
        return _mended(found, _DEPTH)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INTEGER_DIGITS else float(digits)


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _mended(value: Any, depth: int) -> Any:
    """The value without halves of surrogate pairs."""
    if isinstance(value, str):
        return _HALF.sub(_REPLACEMENT, value)
    if not isinstance(value, list | dict):
        return value
    if depth <= 0:
        raise ValueError("the JSON is nested too deeply")
    if isinstance(value, list):
        return [_mended(each, depth - 1) for each in value]
    return {_mended(name, depth): _mended(each, depth - 1) for name, each in value.items()}
