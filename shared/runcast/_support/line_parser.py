"""What a line of text says about itself: a time, a level. (To which entry a line belongs: `traces`.)

Agents write `[12:30:01] …`, `2026-01-31T12:30:01+00:00 [INFO] …`, `[ERROR] …` or one JSON object per
line, and colour them. Only the beginning is looked at; the line itself is stored as it was written.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Any

import orjson

from runcast._support import escapes, foreign_lines, times, traces
from runcast._support.said import (
    CLOCK_SLACK,
    CRASHED,
    LEVEL_MEMBERS,
    LEVELS,
    NOTHING,
    TIME_MEMBERS,
    Said,
)

REMEMBERED_TIMES = 4_096
"""Times that were read lately: the lines of a second share theirs."""

_START = re.compile(
    r"\s*(?:\[?(?P<iso>\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)\]?"
    r"|\[(?P<clock>\d\d:\d\d:\d\d)(?:[.,]\d+)?\])?"
    r"\s*(?:- \S{1,100} - )?"
    r"(?:\[(?P<bracketed>[A-Za-z]{3,8})\]|(?P<bare>TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR"
    r"|CRITICAL|FATAL)\b)?"
)
STARTS = frozenset("[{<0123456789 \tTDINWECFJMASOtlpfU\x1b")
"""Characters with which a line begins if it says anything about itself."""
COLOURED = 256
"""Characters in which a coloured line says what it says about itself."""
_CRASHES = frozenset(each[0] for each in traces.CRASHES)
_DIGITS = frozenset("0123456789")
_NUMBERED = {10: "trace", 20: "debug", 30: "info", 40: "warning", 50: "error", 60: "critical"}
"""Levels as pino and bunyan number them."""


def level_of(name: str) -> str:
    """Our name for a level; one that we don't know is kept, in small letters."""
    lowered = name.lower()
    return LEVELS.get(lowered, lowered)


def read(text: str, at: datetime) -> Said:
    """What the line says. `at` gives the date of a time of day, and the offset of a time without one."""
    if text[:1] not in STARTS or not text:
        return NOTHING
    if text[0] == "{":
        return _of_object(text, at)
    if "\x1b" in text[:COLOURED]:
        # What colours the time and the level stands around them: `\x1b[31mERROR\x1b[0m …`.
        text = escapes.stripped(text[:COLOURED]).replace("\x1b", "")
        if text[:1] not in STARTS or not text:
            return NOTHING
    if (said := _usual(text, at)) is not None:
        return said
    if text[0] in _CRASHES and traces.is_crash(text):
        return CRASHED
    if text[0] in _DIGITS and text[4:5] != "-":
        return foreign_lines.read(text, at) or NOTHING
    found = _START.match(text)
    if found is None or not any(found.groups()):
        return foreign_lines.read(text, at) or NOTHING
    return _of_match(found, at)


def _of_match(found: re.Match[str], at: datetime) -> Said:
    iso, clock, bracketed, bare = found.groups()
    name = bracketed or bare
    level = LEVELS.get(name.lower()) if name else None
    if iso:
        return Said(_moment(iso, at.tzinfo), level)
    if clock:
        return Said(_time_of_day(clock, at, at.tzinfo), level)
    return Said(None, level) if level else NOTHING


def _usual(text: str, at: datetime) -> Said | None:
    """What `_START` would find at the beginnings that most lines have, in a fifth of its time:
    `[12:30:01] …` and `2026-01-31T12:30:01+00:00 [INFO] …`. None where a closer look is needed."""
    if text[9:10] == "]" and text[0] == "[" and text[3:4] == ":":
        end, ts = 10, _time_of_day(text[1:9], at, at.tzinfo)
    elif text[10:11] == "T" and text[4:5] == "-":
        end = text.find(" ", 19, 36)
        ts = _moment(text[:end], at.tzinfo) if end > 0 else None
    else:
        return None
    if ts is None or text[end : end + 1] != " ":
        return None
    after = text[end + 1 : end + 2]
    if after == "[":
        close = text.find("]", end, end + 12)
        return Said(ts, LEVELS.get(text[end + 2 : close].lower()) if close > 0 else None)
    return None if after in STARTS else Said(ts)


def _of_object(text: str, at: datetime) -> Said:
    try:
        members = orjson.loads(text)
    except orjson.JSONDecodeError:
        return NOTHING
    ts, level = _first(members, TIME_MEMBERS), _first(members, LEVEL_MEMBERS)
    return Said(
        _moment(ts, at.tzinfo) if isinstance(ts, str) else _since_1970(ts),
        LEVELS.get(level.lower()) if isinstance(level, str) else _NUMBERED.get(level),
    )


def _first(members: dict[str, Any], names: tuple[str, ...]) -> Any:
    found = (members[name] for name in names if name in members)
    return next((value for value in found if isinstance(value, str | int | float)), None)


def _since_1970(number: Any) -> str | None:
    """Seconds, or milliseconds as JavaScript counts them; a small number is no time."""
    if isinstance(number, bool) or not isinstance(number, int | float) or number < 1e9:
        return None
    try:
        seconds = number / 1_000 if number > 1e11 else number
        return times.to_milliseconds(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return None


@lru_cache(maxsize=REMEMBERED_TIMES)
def _moment(text: str, zone: tzinfo | None) -> str | None:
    try:
        moment = datetime.fromisoformat(text.replace(",", "."))
        return times.to_milliseconds(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=REMEMBERED_TIMES)
def _time_of_day(text: str, at: datetime, zone: tzinfo | None) -> str | None:
    # The zone is named for the cache: equal moments of two zones have two dates.
    try:
        moment = datetime.combine(at.date(), time.fromisoformat(text), zone)
        if moment > at + CLOCK_SLACK:
            moment -= timedelta(days=1)
        return times.to_milliseconds(moment)
    except (ValueError, OverflowError):
        return None
