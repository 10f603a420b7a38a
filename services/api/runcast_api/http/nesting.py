"""How deep a JSON value is nested: what is read must also be written again, and read by others."""

from __future__ import annotations

from typing import Any


def is_deeper(value: Any, depth: int) -> bool:
    """Whether arrays and objects are nested more than `depth` deep. It doesn't recurse."""
    level: list[Any] = [value]
    for _ in range(depth + 1):
        level = [
            child
            for each in level
            if isinstance(each, (dict, list))
            for child in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True
