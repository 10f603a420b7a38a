"""The names that programs, files and services share, each written once.

The SDK writes them, the tailer reads them and the server stores them. Import them from here instead of
repeating the text, so that a rule can't differ between two entrances.
"""

import re
import zlib
from typing import Literal
from uuid import UUID

API_VERSION = "1"
"""The version of the HTTP API (`Runcast-Version`): it goes up when something is taken away or means
something else, never for what is added."""

INGEST_STREAM = "runcast:ingest"
"""The Redis stream that workers append messages to (member `m`: one JSON object)."""
TAILER_STREAM = "runcast:ingest:tailer"
"""The same for the tailer alone: workers can spoil their own stream, and not this one."""
MOST_INGEST_STREAMS = 64


def ingest_stream(run: str, streams: int) -> str:
    """The stream that takes a worker's messages of a run, where there are `streams` of them: all messages of
    one run go into the same one, which keeps their order. The run is named by its id, or by its key."""
    return INGEST_STREAM if streams == 1 else f"runcast:{{ingest:{_place(run, streams)}}}"


def tailer_stream(run: str, streams: int) -> str:
    """The same for the tailer's messages."""
    return TAILER_STREAM if streams == 1 else f"{ingest_stream(run, streams)}:tailer"


def is_tailers(stream: str) -> bool:
    """Whether only the tailer writes to this ingest stream."""
    return stream.endswith(":tailer")


def _place(run: str, streams: int) -> int:
    """A number below `streams`: the CRC-32 of the run's id, in lower case with hyphens, or of its key."""
    return zlib.crc32(named_run(run).encode(errors="replace")) % streams


def named_run(text: str) -> str:
    """A run's name as it's compared: an id in lower case with hyphens, a key as it is."""
    try:
        return str(UUID(text)) if len(text) in (32, 36) else text
    except ValueError:
        return text


RUN_FILE = "run.json"
STATUS_FILE = "status.json"
LOG_FILE = "logs.txt"
JSON_LOG_FILE = "logs.jsonl"
PROGRESS_FILE = "events.jsonl"
HEARTBEAT_SECONDS = 10.0
"""How often a run that goes on says so."""
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
SOURCE_CHARACTERS = 200
_KEY = re.compile(r"[A-Za-z0-9._-]{1,128}")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\<>:"|?*\ud800-\udfff]')
"""Separators, control characters, and what Windows refuses in a name (Microsoft, "Naming Files, Paths, and
Namespaces")."""
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
"""Names that Windows gives to devices, whatever their ending."""


def is_key(text: str) -> bool:
    """Whether the text may be a run's key."""
    return key_fault(text) is None


def key_fault(key: str) -> str | None:
    """What keeps a text from being a run's key, for a person; None where nothing does.

    A key names a directory and stands in paths of URLs, and a source's name names a file, on machines that
    no one here knows. So each must be one plain name everywhere, and never lead anywhere else. The JavaScript
    client keeps the same rule (`names.ts`); `tests/contract/names.json` holds both to it.
    """
    if not _KEY.fullmatch(key):
        return "may hold letters, digits, '.', '_' and '-', at most 128 characters"
    return _name_fault(key)


def source_fault(source: str) -> str | None:
    """What keeps a text from being the name of a source of lines, for a person; None where nothing does."""
    if not 0 < len(source) <= SOURCE_CHARACTERS:
        return f"must have 1 to {SOURCE_CHARACTERS} characters"
    if _UNSAFE.search(source):
        return "must be a plain file name, without '/', '\\', ':' and control characters"
    return _name_fault(source)


def _name_fault(name: str) -> str | None:
    if name.strip(".") == "":
        return "must not consist of dots alone"
    if name != name.rstrip(". "):
        return "must not end with a dot or a space, which Windows drops"
    if _DEVICE.fullmatch(name):
        return "is the name of a device on Windows"
    return None


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
LABEL_KEY = re.compile(r"[A-Za-z0-9._/-]{1,128}")
LABEL_CHARACTERS = 256
JSON_DEPTH = 64
LARGEST_NUMBER = 2**31 - 1
METRICS = 256
"""Metrics that a run has at most."""
METRIC_POINTS = 100_000
"""Points that are kept of one metric of a run."""
