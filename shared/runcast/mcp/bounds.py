"""How log entries and texts are made small, and say so."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import re2

from runcast.mcp.answers import LogLine

LINE_CHARACTERS = 500
AROUND_CHARACTERS = 200
RESOURCE_BYTES = 32_000
_INDENT_BYTES = 4
"""By how much each line of a `LogLine` is indented in an answer."""
_ENVELOPE_BYTES = 250
"""What an answer holds besides its lines."""
_EXPRESSION_BYTES = 4 * 1024 * 1024
Place = Callable[[str], int]
"""Where in a text something is; 0 where it isn't found."""


def shown(entry: Mapping[str, Any]) -> LogLine:
    """An entry with its text cut; the whole stands in the log page of the API."""
    text = str(entry.get("message") or "")
    if len(text) > LINE_CHARACTERS:
        text = f"{text[:LINE_CHARACTERS]}… [+{len(text) - LINE_CHARACTERS} characters]"
    return LogLine(
        line=entry["line_number"],
        ts=entry.get("ts"),
        level=entry.get("level"),
        kind=entry.get("event_type"),
        text=text,
    )


def fitting(lines: Iterable[LogLine], max_bytes: int) -> list[LogLine]:
    """The first lines with which an answer, as it is written for an agent, has at most this many bytes; one
    line at least."""
    kept: list[LogLine] = []
    size = _ENVELOPE_BYTES
    for line in lines:
        written = line.model_dump_json(indent=2)
        size += len(written.encode()) + _INDENT_BYTES * (written.count("\n") + 1) + len(",\n")
        if kept and size > max_bytes:
            break
        kept.append(line)
    return kept


def small(run: Mapping[str, Any], max_bytes: int = RESOURCE_BYTES) -> dict[str, Any]:
    """The run with its largest members left out, and their sizes in their place, where it is larger."""
    sizes = {name: len(json.dumps(value)) for name, value in run.items()}
    kept, total = dict(run), sum(sizes.values())
    for name in sorted(sizes, key=lambda one: -sizes[one]):
        if total <= max_bytes:
            break
        kept[name] = {"cut": True, "bytes": sizes[name]}
        total -= sizes[name]
    return kept


def finder(wanted: str, *, regex: bool) -> Place:
    """What finds a text in any case, or an expression, as the server does."""
    if not regex:
        literal = re.compile(re.escape(wanted), re.IGNORECASE)
        return lambda text: found.start() if (found := literal.search(text)) else 0
    options = re2.Options()
    options.max_mem, options.log_errors = _EXPRESSION_BYTES, False
    try:
        expression = re2.compile(wanted, options)
    except re2.error:
        return lambda _: 0  # the server says what is wrong with it
    return lambda text: found.start() if (found := expression.search(text)) else 0


def around(text: str, place: Place) -> str:
    """The part of a text around what was looked for."""
    start = max(place(text) - AROUND_CHARACTERS // 2, 0)
    part = text[start : start + AROUND_CHARACTERS]
    before = "…" if start else ""
    return f"{before}{part}{'…' if start + len(part) < len(text) else ''}"


def whole_number(value: int | None, low: int, high: int, default: int) -> int:
    """A number within bounds: agents ask for more than they should get."""
    return default if value is None else min(max(value, low), high)
