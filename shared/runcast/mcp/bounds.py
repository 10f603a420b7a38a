"""How log entries and texts are made small, and say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runcast.mcp.answers import LogLine

LINE_CHARACTERS = 500
AROUND_CHARACTERS = 200
_ENVELOPE_BYTES = 60
"""What a line's members cost beside its text."""


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
    """The first lines that fit into this many bytes; one at least."""
    kept: list[LogLine] = []
    size = 0
    for line in lines:
        size += len(line.text.encode()) + _ENVELOPE_BYTES
        if kept and size > max_bytes:
            break
        kept.append(line)
    return kept


def around(text: str, wanted: str) -> str:
    """The part of a text around what was looked for."""
    place = max(text.lower().find(wanted.lower()), 0)
    start = max(place - AROUND_CHARACTERS // 2, 0)
    part = text[start : start + AROUND_CHARACTERS]
    before = "…" if start else ""
    return f"{before}{part}{'…' if start + len(part) < len(text) else ''}"


def whole_number(value: int | None, low: int, high: int, default: int) -> int:
    """A number within bounds: agents ask for more than they should get."""
    return default if value is None else min(max(value, low), high)
