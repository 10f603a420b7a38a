"""What workers put on the ingest stream, and what of it can be understood.

A message is one JSON object (contract, section 5). Everything that can be said about it without the
database is said here, once, before anything is batched: `parse` answers a `Message` or raises `Refused`
with the reason that is kept beside it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from runcast import contract
from runcast_api.http import nesting
from runcast_api.logs import entries
from runcast_api.logs.entries import LinesMessage
from runcast_server.errors import Problem

LINES = "lines"
MAX_ID = 128
MAX_CUSTOM_BYTES = 64 * 1024
MAX_BYTES = 16 * 1024 * 1024
"""One message at most; an entry of a Redis stream may hold half a gigabyte."""
MAX_DEPTH = 200
"""How deep arrays and objects may be nested: what is read must be written again, and orjson reads deeper than
it writes."""
_CUSTOM = re.compile(r"x:[A-Za-z0-9_.:-]{1,120}")
_RUNLESS = frozenset({"worker:status", "runtime:event"})

LINES_PER_EVENT = 2
"""Lines that weigh as much as one event in a batch: they are stored a thousand at a time."""
WEIGHT_OF_CHANGES = 10
"""What a change of a run weighs, which asks Postgres several times."""
_LIGHT = frozenset({"agent:log", "worker:status", "runtime:event"})
_LIGHT_LINE = re.compile(r'\s*\{\s*"type"\s*:\s*"(?:agent:log"|x:)')
"""A line of a spool that is no change of a run, as all our senders write it: the type comes first."""


class Refused(Exception):
    """A message that can't be accepted; the text is the reason, for a person."""


@dataclass(slots=True)
class Message:
    """A message that can be understood. The run is `run_id`, or `key` in `project`."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)
    run_id: UUID | None = None
    key: str | None = None
    project: str | None = None
    id: str | None = None
    auth: str | None = None
    source: str | None = None
    lines: LinesMessage | None = None
    run: dict[str, Any] = field(default_factory=dict)
    """What the run is made of, if it doesn't exist yet."""
    _weight: int | None = None

    @property
    def needs_run(self) -> bool:
        """Whether it says nothing without a run."""
        return self.type not in _RUNLESS

    @property
    def weight(self) -> int:
        """What batches are measured by: about how long it takes, in events that say nothing but a line. A
        batch of changes is shorter, as a line of another project waits for its end."""
        if self._weight is None:
            self._weight = self._weighed()
        return self._weight

    def _weighed(self) -> int:
        if self.lines is None:
            is_light = self.type in _LIGHT or self.type.startswith("x:")
            return 1 if is_light else WEIGHT_OF_CHANGES
        changes = _changes(self.lines)
        lines = len(self.lines.lines) - changes
        return changes * WEIGHT_OF_CHANGES - (-lines // LINES_PER_EVENT)


def _changes(lines: LinesMessage) -> int:
    """How many of the lines may change their run: none but those of feeds. Only what a line begins with is
    looked at, so that weighing costs next to nothing."""
    if lines.source not in contract.FEEDS:
        return 0
    if lines.source == contract.PROGRESS_FILE:
        return len(lines.lines)
    return sum(1 for line in lines.lines if _LIGHT_LINE.match(line) is None)


def parse(raw: bytes) -> Message:
    """The message that these bytes are. Raises `Refused`."""
    return understand(decode(raw))


def decode(raw: bytes) -> Any:
    """JSON as agents really write it: lone surrogates, which UTF-8 can't hold, become U+FFFD.

    Raises `Refused`.
    """
    if len(raw) > MAX_BYTES:
        raise Refused(f"the message is larger than {MAX_BYTES:,} bytes")
    if nesting.has_many(raw):
        raise Refused(f"the message is too much to read: {nesting.LIMITS}")
    value = _loaded(raw)
    if nesting.is_deeper(raw, MAX_DEPTH):
        raise Refused(f"nested more than {MAX_DEPTH} deep")
    return value


def _loaded(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if b"\\u" not in raw:
            raise Refused(f"not JSON: {error}") from error
    try:
        text = json.dumps(json.loads(raw), ensure_ascii=False)
        return orjson.loads(text.encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise Refused(f"not JSON: {error}") from error


def understand(members: Any, *, run_id: UUID | None = None) -> Message:
    """The message that a JSON value is; `run_id` where the place that it stands in says whose it is.

    Raises `Refused`.
    """
    if not isinstance(members, dict):
        raise Refused("not an object")
    kind = _text(members, "type")
    if kind is None:
        raise Refused("type is missing")
    if kind.startswith("x:") and not _CUSTOM.fullmatch(kind):
        raise Refused("type is not a name of an event")
    message = Message(kind, project=_text(members, "project"), auth=_text(members, "auth"))
    message.id = _limited(members, "id", MAX_ID)
    message.source = _text(members, "source")
    if message.source is not None and (fault := contract.source_fault(message.source)):
        raise Refused(f"source {fault}")
    message.data, message.run = _object(members, "data"), _object(members, "run")
    _address(message, members, run_id)
    if kind == LINES:
        message.lines = _lines(members)
        message.source = message.lines.source
    elif kind.startswith("x:") and len(orjson.dumps(message.data)) > MAX_CUSTOM_BYTES:
        raise Refused(f"data is larger than {MAX_CUSTOM_BYTES} bytes")
    return message


def run_named(value: Any) -> str:
    """The run that a message names, by its id or its key, before anything else of it is understood."""
    if not isinstance(value, dict):
        return ""
    named = value.get("run_id") or value.get("key")
    if not isinstance(named, str):
        return ""
    return contract.named_run(named)


def _address(message: Message, members: dict[str, Any], run_id: UUID | None) -> None:
    key = _text(members, "key")
    named = _text(members, "run_id")
    message.run_id = run_id
    if run_id is None and named is not None:
        message.run_id = _uuid(named)
        if message.run_id is None:
            key = named
    if key is not None and (fault := contract.key_fault(key)):
        raise Refused(f"key {fault}")
    message.key = key
    if message.run_id is None and message.type not in _RUNLESS:
        if key is None:
            raise Refused("run_id is missing")
        if message.project is None:
            raise Refused("a run named by its key needs a project")


def _lines(members: dict[str, Any]) -> LinesMessage:
    try:
        return entries.message_of(members)
    except Problem as problem:
        raise Refused(problem.detail) from problem


def _object(members: dict[str, Any], name: str) -> dict[str, Any]:
    value = members.get(name)
    if value is not None and not isinstance(value, dict):
        raise Refused(f"{name} is not an object")
    return value or {}


def _text(members: dict[str, Any], name: str) -> str | None:
    value = members.get(name)
    if value is not None and (not isinstance(value, str) or "\x00" in value):
        raise Refused(f"{name} is not a text")
    return value


def _limited(members: dict[str, Any], name: str, limit: int) -> str | None:
    value = _text(members, name)
    if value is not None and not 0 < len(value) <= limit:
        raise Refused(f"{name} is empty or longer than {limit}")
    return value


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) in (32, 36) else None
    except ValueError:
        return None
