"""The names that programs, files and services share, each written once.

The SDK writes them, the tailer reads them and the server stores them. Import them from here instead of
repeating the text, so that a rule can't differ between two entrances.
"""

import re
from typing import Literal

INGEST_STREAM = "runcast:ingest"
"""The Redis stream that workers append messages to (member `m`: one JSON object)."""

RUN_FILE = "run.json"
STATUS_FILE = "status.json"
LOG_FILE = "logs.txt"
JSON_LOG_FILE = "logs.jsonl"
PROGRESS_FILE = "events.jsonl"
SPOOL_FILE = "spool.jsonl"

SENTINEL = "=== Run Complete ==="
"""A line that is exactly this is the last one of its log and closes it."""

Status = Literal["queued", "running", "awaiting_feedback", "completed", "failed", "cancelled"]
ACTIVE_STATUSES = frozenset({"queued", "running", "awaiting_feedback"})
TERMINAL_STATUSES = frozenset({"completed", "failed", "cancelled"})
"""A run that has reached one of these never changes its status again."""
STATUSES = ACTIVE_STATUSES | TERMINAL_STATUSES
TERMINAL_STATUSES_SQL = ", ".join(f"'{status}'" for status in sorted(TERMINAL_STATUSES))
"""The terminal statuses as the inside of an SQL `IN (…)`."""

DEFAULT_STEPS = ("idea", "topic_critic", "outline")
"""The steps of a run that names none."""

RUN_FIELDS = (
    "key",
    "name",
    "phase",
    "current_step",
    "steps",
    "agent_type",
    "agent_name",
    "task_id",
    "input",
    "metadata",
    "labels",
    "parent_run_id",
    "parent_key",
    "aliases",
)
"""The fields besides its id that creating a run takes."""

KEY_LENGTH = 128
_KEY = re.compile(r"[A-Za-z0-9._-]{1,128}")


def is_key(text: str) -> bool:
    """Whether the text may be a run's key.

    A key names a directory and stands in paths of URLs, so `.` and `..` are no keys.
    """
    return _KEY.fullmatch(text) is not None and text not in {".", ".."}


DEFAULT_PROJECT = "default"
FEEDS = frozenset({SPOOL_FILE, PROGRESS_FILE})
"""Sources whose lines are messages, not log lines."""

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""A project's slug."""
EVENT_NAME = re.compile(r"x:[A-Za-z0-9_.:-]{1,120}")
"""The name of a worker's own event."""

NAME_CHARACTERS = 200
LEVEL_CHARACTERS = 32
URL_CHARACTERS = 2_000
TEXT_BYTES = 64 * 1024
"""An error, a progress message, a log line."""
EVENT_BYTES = 64 * 1024
"""The data of a worker's own event."""
STEPS = 200
LABELS = 64
JSON_DEPTH = 64
LARGEST_NUMBER = 2**31 - 1
