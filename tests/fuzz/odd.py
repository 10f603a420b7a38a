"""What other programs really send: good values with some of their members replaced by odd ones."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

Path = tuple[Any, ...]


def nested(depth: int, *, is_list: bool) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if is_list else {"a": value}
    return value


TIMES = [
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00",
    "1969-12-31T23:59:59", "2026-02-30T00:00:00Z", "2026-01-31T10:00:00+99:99", "now",
]  # fmt: skip
NUMBERS = [0, -1, 1, 2**31, 2**53, 2**62, 2**63, 2**64, 2**70, -(2**63), 0.5, 1e308, float("nan")]
NUMBERS += [float("inf"), float("-inf")]
TEXTS = [
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "x\udfff",
    "..",
    ".",
    "a/b",
    "😀",
    "\u202e",
    "\r\n",
    "x" * 300,
]
TEXTS += ["x" * 70_000, "[12:00:00] x", '{"ts":"0001-01-01T00:00:00+14:00"}', *TIMES]
OTHERS = [None, True, False, [], {}, [None], {"": 0}, {"\0": "\0"}, ["\0"], {"a": "\ud800"}]
DEEP = [nested(depth, is_list=is_list) for depth in (60, 150, 300) for is_list in (True, False)]
ODD = [*NUMBERS, *TEXTS, *OTHERS, *DEEP]


def places(value: Any, at: Path = ()) -> Iterator[Path]:
    """Where in a value something can be replaced."""
    if at:
        yield at
    members = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, each in members:
        yield from places(each, (*at, name))


def replaced(value: Any, at: Path, by: Any) -> Any:
    """The value with what is at this place replaced."""
    if not at:
        return by
    changed = copy.copy(value)
    changed[at[0]] = replaced(value[at[0]], at[1:], by)
    return changed


@st.composite
def changed(draw: st.DrawFn, good: list[dict[str, Any]], most: int = 3) -> Any:
    """One of the good values, with up to so many of its members odd, absent or taken from another one."""
    value: Any = draw(st.sampled_from(good))
    for _ in range(draw(st.integers(0, most))):
        found = list(places(value))
        if not found:
            break
        at = draw(st.sampled_from(found))
        kind = draw(st.integers(0, 9))
        if kind == 0 and len(at) == 1:
            value = {name: each for name, each in value.items() if name != at[0]}
        elif kind == 1:
            value = value | {draw(st.sampled_from(sorted(draw(st.sampled_from(good))))): draw(odd)}
        else:
            value = replaced(value, at, draw(odd))
    return value


odd = st.sampled_from(ODD)


@st.composite
def encoded(draw: st.DrawFn, good: list[dict[str, Any]]) -> bytes:
    """As any language's library might write it: `NaN`, lone surrogates, members twice, torn."""
    value = draw(changed(good))
    text = json.dumps(value)
    kind = draw(st.integers(0, 19))
    if kind == 0 and isinstance(value, dict) and value:
        name = draw(st.sampled_from(sorted(value)))
        text = f"{text[:-1]},{json.dumps(name)}:{json.dumps(draw(odd))}}}"
    elif kind == 1:
        return text.encode()[: draw(st.integers(0, 60))]
    elif kind == 2:
        return b"\xef\xbb\xbf" + text.encode()
    elif kind == 3:
        return draw(st.binary(max_size=60))
    return text.encode()
