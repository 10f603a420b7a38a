"""Texts of a session as they are shown: one line for a tool, head and tail of what is long, no binaries."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from runcast._support import times

Json = dict[str, Any]

HEADLINE_CHARACTERS = 300
TITLE_CHARACTERS = 80
SUMMARY_CHARACTERS = 200
TEXT_BYTES = 64 * 1024
RESULT_BYTES = 8 * 1024
INPUT_TEXT_BYTES = 4 * 1024
INPUT_BYTES = 16 * 1024
_TAIL = 4
"""The last quarter of what is shown of a long text is its tail."""
_WORD_BYTES = 512
_USUAL = re.compile(r"[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_FIRST_SECOND = 10**8
"""A smaller number of seconds since 1970 is no time at which an agent worked."""
_FIRST_MILLISECOND = 10**11
_DIGITS = (10, 13)
"""The number of digits of seconds and of milliseconds since 1970."""
_SAYING = ("command", "cmd", "file_path", "path", "pattern", "query", "url", "description")
"""Members of a tool's input that say best what it does, in this order."""
_SHELLS = frozenset({"bash", "sh", "zsh", "/bin/bash", "/bin/sh", "/bin/zsh"})


def headline(tool: str, given: Any) -> str:
    """What a tool is used for, in one line of at most 300 characters: `Bash: pytest -q`."""
    said = _saying(tool, given) if isinstance(given, Mapping) else ""
    line = " ".join(said[: 4 * HEADLINE_CHARACTERS].split())
    return f"{tool}: {line[:HEADLINE_CHARACTERS]}" if line else tool


def _saying(tool: str, given: Mapping[str, Any]) -> str:
    if tool in ("Agent", "Task"):
        return _text(given.get("description"))
    if tool == "AskUserQuestion":
        return first_question(given)
    return next((text for name in _SAYING if (text := _text(given.get(name)))), "")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        is_shell = len(value) == 3 and value[0] in _SHELLS and value[1] in ("-c", "-lc")
        return value[2] if is_shell else " ".join(value)
    return ""


def first_question(given: Mapping[str, Any]) -> str:
    """The first of the questions that AskUserQuestion and its likes ask; empty where there is none."""
    questions = given.get("questions")
    first = questions[0] if isinstance(questions, list) and questions else None
    asked = first.get("question") if isinstance(first, Mapping) else None
    return asked if isinstance(asked, str) else ""


def title(text: str) -> str | None:
    """A run's name from what a person asked for: its first line, shortened."""
    first = next((line.strip() for line in text[:4096].splitlines() if line.strip()), "")
    return (
        first if len(first) <= TITLE_CHARACTERS else first[: TITLE_CHARACTERS - 1] + "…"
    ) or None


def last_words(text: str) -> str:
    """The last sentence of a text in at most 200 characters."""
    line = " ".join(text[-2048:].split())
    for mark in (". ", "! ", "? "):
        if (place := line.rfind(mark, 0, len(line) - 1)) >= 0 and len(line) > SUMMARY_CHARACTERS:
            line = line[place + 2 :]
    return line if len(line) <= SUMMARY_CHARACTERS else "…" + line[-(SUMMARY_CHARACTERS - 1) :]


def shortened(text: str, limit_bytes: int) -> tuple[str, bool]:
    """Head and tail of a text of more bytes than these, with the number of bytes between; and whether it was
    cut."""
    if len(text) * 4 <= limit_bytes:
        return text, False
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit_bytes:
        return text, False
    tail_bytes = limit_bytes // _TAIL
    head = raw[: limit_bytes - tail_bytes].decode(errors="ignore")
    tail = _from_a_word(raw[len(raw) - tail_bytes :]).decode(errors="ignore")
    left_out = len(raw) - len(head.encode()) - len(tail.encode())
    return f"{head}\n⋯ {left_out:,} bytes left out ⋯\n{tail}", True


def _from_a_word(tail: bytes) -> bytes:
    """The tail from its first whole word on, if that is near: half a secret has no shape that could be
    recognised."""
    place = re.search(rb"[^A-Za-z0-9_+/=.~-]", tail[:_WORD_BYTES])
    return tail[place.end() :] if place else tail


def small(
    given: Any, text_bytes: int = INPUT_TEXT_BYTES, limit: int = INPUT_BYTES
) -> tuple[Any, bool]:
    """A tool's input with each long text cut, and what is left out where it is still too large; and whether
    anything was cut."""
    value, cut = _small(given, text_bytes)
    if len(orjson.dumps(value, default=str)) <= limit:
        return value, cut
    if not isinstance(value, dict):
        return shortened(orjson.dumps(value, default=str).decode(), limit)[0], True
    kept: Json = {}
    room = limit
    for name, each in value.items():
        size = len(orjson.dumps(each, default=str)) + len(name) + 4
        if size <= room:
            kept[name] = each
            room -= size
    return kept, True


def _small(value: Any, text_bytes: int) -> tuple[Any, bool]:
    if isinstance(value, str):
        return shortened(value, text_bytes)
    if isinstance(value, list):
        found = [_small(each, text_bytes) for each in value[:500]]
        return [each for each, _ in found], len(value) > 500 or any(cut for _, cut in found)
    if isinstance(value, dict):
        pairs = {str(name)[:200]: _small(each, text_bytes) for name, each in value.items()}
        return {name: each for name, (each, _) in pairs.items()}, any(c for _, c in pairs.values())
    return value, False


def text_of(content: Any) -> str:
    """The text of an agent's content: a text, or blocks of it. Of images and the like their kind and size."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return "" if content is None else orjson.dumps(content, default=str).decode()
    return "\n".join(map(block_text, content))


def block_text(block: Any) -> str:
    """One block of content as text."""
    if isinstance(block, str):
        return block
    if not isinstance(block, Mapping):
        return ""
    text = block.get("text")
    if isinstance(text, str):
        return text
    kind = str(block.get("type") or "part")[:50]
    source = block.get("source") if isinstance(block.get("source"), Mapping) else block
    data = source.get("data") if isinstance(source, Mapping) else None
    media = (
        source.get("media_type") or source.get("mimeType") if isinstance(source, Mapping) else None
    )
    if isinstance(data, str):
        return f"[{kind} {media or ''}".rstrip() + f", {len(data) * 3 // 4:,} bytes]"
    return f"[{kind}]"


def milliseconds(start: Any, end: Any) -> int | None:
    """The time between two ISO-8601 times; None where one of them is none."""
    try:
        passed = dt.datetime.fromisoformat(end) - dt.datetime.fromisoformat(start)
    except (TypeError, ValueError):
        return None
    return max(round(passed.total_seconds() * 1000), 0)


def iso(milliseconds_since_1970: Any) -> str | None:
    """The moment as ISO-8601 in UTC; None for what is none."""
    if not isinstance(milliseconds_since_1970, int | float):
        return None
    try:
        moment = dt.datetime.fromtimestamp(milliseconds_since_1970 / 1000, dt.UTC)
    except (OverflowError, OSError, ValueError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(value: Any) -> str | None:
    """The moment that a record names, in a form that every server takes; None for what is none. A number is
    taken as seconds or milliseconds since 1970, also one that is written as a text."""
    if isinstance(value, str):
        if value.isascii() and value.isdigit() and len(value) in _DIGITS:
            return moment(int(value))
        return _from_text(value)
    if not isinstance(value, int | float) or isinstance(value, bool) or value < _FIRST_SECOND:
        return None
    return iso(value if value >= _FIRST_MILLISECOND else value * 1000)


def _from_text(value: str) -> str | None:
    try:
        parsed = times.parse(value)
        return value if _USUAL.fullmatch(value) else times.to_milliseconds(parsed)
    except (ValueError, OverflowError):
        return None


def texts(parts: Sequence[Any]) -> str:
    """The texts among an agent's parts, one after the other."""
    return "\n".join(
        part["text"]
        for part in parts
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    )
