"""A time and a level, as a line of text names them."""

from datetime import timedelta
from typing import NamedTuple

LEVELS = {
    "trace": "trace",
    "debug": "debug",
    "info": "info",
    "notice": "info",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
    "err": "error",
    "critical": "critical",
    "fatal": "critical",
    "crit": "critical",
    "alert": "critical",
    "emerg": "critical",
}
"""Names of levels as they are written, and ours for them."""

TIME_MEMBERS = ("ts", "time", "timestamp", "@timestamp", "asctime")
LEVEL_MEMBERS = ("level", "levelname", "severity", "lvl")
"""Members of a JSON object that name its time and its level."""

CLOCK_SLACK = timedelta(minutes=5)
"""How far a time of day may lie after the file's time and still mean the same day."""


class Said(NamedTuple):
    """A line's own time (ISO-8601, milliseconds, UTC) and level, where it names them."""

    ts: str | None = None
    level: str | None = None


NOTHING = Said()
CRASHED = Said(None, "error")
"""Of a line that begins a trace which no logger has announced."""
