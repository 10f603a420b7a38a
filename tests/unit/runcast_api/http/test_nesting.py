"""What is seen of JSON in its text is what a reader would find."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from runcast_api.http import nesting

PIECES = [",", '"', "\\", "[", '{"', "}]", '\\"[', "a", "\\\\", '"["', "é[", '\n"', '","', "[]"]
"""Parts of texts that look like what stands around them."""


def value(chance: random.Random, depth: int) -> Any:
    kind = chance.random()
    if depth == 0 or kind < 0.3:
        return chance.choice([*PIECES, 1, None, 1.5])
    count = chance.randint(0, 4)
    if kind < 0.65:
        return [value(chance, depth - 1) for _ in range(count)]
    return {f"{chance.choice(PIECES)}{n}": value(chance, depth - 1) for n in range(count)}


def inside(found: Any) -> list[Any]:
    """What an array or object holds."""
    return list(found.values()) if isinstance(found, dict) else found


def number(found: Any) -> int:
    return 1 + sum(map(number, inside(found))) if isinstance(found, (dict, list)) else 0


def commas(found: Any) -> int:
    if not isinstance(found, (dict, list)):
        return 0
    return max(len(found) - 1, 0) + sum(map(commas, inside(found)))


def depth(found: Any) -> int:
    if not isinstance(found, (dict, list)):
        return 0
    return 1 + max(map(depth, inside(found)), default=0)


def test_the_text_tells_what_the_value_holds() -> None:
    chance = random.Random(5)
    for _ in range(2_000):
        found = value(chance, chance.randint(0, 5))
        text = orjson.dumps(found)
        for most in range(7):
            assert nesting.is_deeper(text, most) == (depth(found) > most), (text, most)
            assert nesting.has_many(text, most) == (number(found) > most), (text, most)
            assert nesting.has_many(text, 10_000, most) == (commas(found) > most), (text, most)


@pytest.mark.parametrize(
    "text",
    [
        b'["' + b'\\"' * 1000,
        b"]" * 1000,
        b"[" * 1000,
        b'"' * 1001,
        b"\\" * 999 + b'"[',
        b"",
        b"\xff",
    ],
)
def test_what_is_no_json_is_no_error(text: bytes) -> None:
    nesting.has_many(text, 10)
    nesting.is_deeper(text, 10)


def test_a_text_within_json_is_bounded_like_json() -> None:
    assert nesting.loads('{"a": [1]}') == {"a": [1]}
    with pytest.raises(orjson.JSONDecodeError):
        nesting.loads("[" + "[]," * nesting.MOST + "[]]")
