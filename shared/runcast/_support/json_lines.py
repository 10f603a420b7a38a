"""Lines of JSON as people read them: what was said, then the other members. (The console does the same.)"""

from __future__ import annotations

import re
from typing import Any

import orjson

from runcast._support.said import LEVEL_MEMBERS, TIME_MEMBERS

MESSAGE_MEMBERS = ("msg", "message", "event")
MOST_CHARACTERS = 64 * 1024
"""A longer line is shown as it is."""
_BESIDE = frozenset({*TIME_MEMBERS, *LEVEL_MEMBERS})
"""What is shown by other means than the text: the line's time and level."""
_PLAIN = re.compile(r"[^\s\"=]+")


def as_text(line: str) -> str:
    """The message of a line that is a JSON object with one, and its other members as `name=value`; any
    other line as it is."""
    if line[:1] != "{" or len(line) > MOST_CHARACTERS:
        return line
    try:
        members = orjson.loads(line)
    except orjson.JSONDecodeError:
        return line
    for name in MESSAGE_MEMBERS:
        if isinstance(members.get(name), str):
            said = members.pop(name)
            rest = (_pair(*each) for each in members.items() if each[0] not in _BESIDE)
            return " ".join((said, *rest))
    return line


def _pair(name: str, value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return f"{name}={value}"
    return f"{name}={orjson.dumps(value).decode()}"
