"""Log entries: taken one by one or many at a time, stored as the project's `agent:log` events.

This is the path that agents use most. An entry is encoded before it waits for a commit; what waits is
numbered and stored together, in one statement where nothing else waits with it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from runcast._support import line_parser, times
from runcast.contract import FEEDS
from runcast_api.http.fields import Source
from runcast_api.http.problems import invalid
from runcast_api.logs import line_marks, sources
from runcast_api.logs.line_marks import FileMark, LineMarks
from runcast_api.logs.sources import Batch
from runcast_server.db import Connection
from runcast_server.errors import FieldError, Invalid, NotFound, Problem, TooLarge
from runcast_server.eventlog import segments
from runcast_server.eventlog.log import Committed, EventLog, Transaction, store
from runcast_server.eventlog.segments import Lines

ENTRY_BYTES = 256 * 1024
"""One entry, encoded, at most: it travels through the memory of every hub."""
MESSAGE_LINES = 10_000
"""Lines of one `lines` message at most."""

SOURCE = "api"
FLAGS = ("cut", "invalid_utf8", "lost", "damaged")
"""What a line may say about how it was taken."""


class LogEntry(BaseModel):
    """One entry. What has no `message` shows `payload.message`."""

    model_config = ConfigDict(extra="ignore")

    agent_name: Annotated[str, Field(max_length=200)] | None = None
    event_type: Annotated[str, Field(max_length=200)] | None = None
    payload: Any = None
    message: str | None = None
    level: Annotated[str, Field(max_length=32)] | None = None
    ts: str | None = Field(default=None, description="ISO-8601; without it, now.")

    @model_validator(mode="after")
    def says_something(self) -> LogEntry:
        if self.message is None and self.payload is None and self.event_type is None:
            raise ValueError("an entry needs a message, a payload or an event_type")
        return self

    @property
    def line(self) -> str:
        """The text that is shown."""
        if self.message is not None:
            return self.message
        shown = self.payload.get("message") if isinstance(self.payload, dict) else None
        return shown if isinstance(shown, str) else ""

    def beside_line(self) -> dict[str, Any]:
        """What goes beside the line where the line itself is written elsewhere. A time that isn't one is
        left out, and of a payload beyond `ENTRY_BYTES` only its size is kept."""
        members = self.model_dump(
            include={"ts", "level", "agent_name", "event_type", "payload"}, exclude_none=True
        )
        if self.ts is not None:
            try:
                members["ts"] = times.to_milliseconds(times.parse(self.ts))
            except (ValueError, OverflowError):
                del members["ts"]
        if self.payload is not None and (size := len(orjson.dumps(self.payload))) > ENTRY_BYTES:
            members["payload"] = {"cut": {"length": size}}
        return members


class Closing(BaseModel):
    """The end of a log, as its sender saw it."""

    reason: Annotated[str, Field(pattern="^(sentinel|status|stopped|abandoned)$")]
    lines: Annotated[int, Field(ge=0, lt=2**62)] | None = None
    bytes: Annotated[int, Field(ge=0, lt=2**62)] | None = None

    def size(self) -> tuple[int, int] | None:
        """How much the log held, in lines and bytes, as far as its writer says."""
        return None if self.lines is None or self.bytes is None else (self.lines, self.bytes)


class LinesMessage(BaseModel):
    """Lines of a source, known by their place in it: sent twice, they are stored once."""

    model_config = ConfigDict(extra="ignore")

    source: Source
    generation: Annotated[int, Field(ge=1, lt=2**31)] = 1
    first_line: Annotated[int, Field(ge=1, lt=2**62)]
    first_offset: Annotated[int, Field(ge=0, lt=2**62)]
    next_offset: Annotated[int, Field(ge=0, lt=2**62)] | None = None
    lines: Annotated[list[str], Field(max_length=MESSAGE_LINES)]
    at: datetime | None = None
    zone: Annotated[str, Field(max_length=64)] | None = None
    flags: Annotated[dict[int, LineMarks], Field(max_length=MESSAGE_LINES)] = {}
    file: FileMark | None = None
    closed: Closing | None = None
    bytes_after_end: Annotated[int, Field(ge=0, lt=2**62)] = 0
    above: list[Annotated[str, Field(max_length=1_000)]] = Field(
        default=[],
        max_length=8,
        description="Lines before the first one, where it belongs to an entry that began there.",
    )
    spool: Annotated[
        Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")] | None,
        Field(description="Which spool the lines are of: the id of its first message."),
    ] = None
    entries: list[LogEntry | None] = Field(
        default=[],
        max_length=MESSAGE_LINES,
        description="What is known of lines besides their text, by place.",
    )
    _is_placed: bool = True

    @model_validator(mode="after")
    def fits(self) -> LinesMessage:
        if self.next_offset is not None and self.next_offset < self.first_offset:
            raise ValueError("next_offset lies before first_offset")
        return self

    def by_a_reporter(self) -> LinesMessage:
        """The message without where its lines lie in which file: that is believed from the tailer alone,
        because the rest of a cut line is read from there."""
        copy = self.model_copy(update={"file": None})
        copy._is_placed = False
        return copy

    def batch(self) -> Batch:
        """The message as the source's cursor takes it. Without a `next_offset` each line is taken to end
        with one byte."""
        size = sum(len(text.encode()) + 1 for text in self.lines) if self.next_offset is None else 0
        texts: Sequence[str] = self.lines
        flags = {place: marks.members() for place, marks in self.flags.items()}
        if self.source not in FEEDS:
            texts, flags = line_marks.cut(texts, flags, self.first_offset)
        if not self._is_placed:
            flags = line_marks.unplaced(flags)
        return Batch(
            self.generation,
            self.first_line,
            self.first_offset,
            self.first_offset + size if self.next_offset is None else self.next_offset,
            texts,
            line_marks.moment(self.at, self.zone),
            flags,
            self.file.model_dump(exclude_none=True) if self.file else None,
            self.closed.reason if self.closed else None,
            self.bytes_after_end,
            {place: entry.beside_line() for place, entry in enumerate(self.entries) if entry},
            self.closed.size() if self.closed else None,
            self.above,
        )


class LogEntryShown(BaseModel):
    """An entry as it is stored; `id` is its event number, and the id of its frame in the stream."""

    id: int
    run_id: UUID
    line_number: int
    ts: str
    level: str | None = None
    agent_name: str | None = None
    event_type: str | None = None
    message: str
    payload: Any = None
    source: str
    source_line: int | None = None


class Taken(BaseModel):
    """How many entries were stored, and between which line numbers they lie."""

    accepted: int
    first_line_number: int | None
    last_line_number: int | None


class LinesCursor(BaseModel):
    """The committed cursor of a source: what comes next."""

    source: str
    generation: int
    next_line: int
    next_offset: int


_entry: TypeAdapter[LogEntry] = TypeAdapter(LogEntry)


def entry_of(value: Any, where: str = "body") -> LogEntry:
    """The entry in a JSON value. Raises `Invalid` that names the field, below `where`."""
    try:
        return _entry.validate_python(value)
    except ValidationError as error:
        raise _below(where, error) from None


def message_of(value: Any) -> LinesMessage:
    """The `lines` message in a JSON value. Raises `Invalid`."""
    try:
        return LinesMessage.model_validate(value)
    except ValidationError as error:
        raise _below("body", error) from None


def _below(where: str, error: ValidationError) -> Problem:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return invalid([{**each, "loc": (where, *each["loc"])} for each in found])


class Encoded(NamedTuple):
    """An entry as the record of its line, with what the segment that holds it says about its lines."""

    record: bytes
    level: str | None
    agent_name: str | None


def encode(
    entry: LogEntry, now: str, limit: int, where: str = "body", source: str = SOURCE
) -> Encoded:
    """The entry as a record.

    Raises `TooLarge` for a message of more than `limit` bytes or an entry beyond `ENTRY_BYTES`,
    `Invalid` for a time that isn't one.
    """
    line = entry.line
    if len(line) > limit // 4 and len(line.encode()) > limit:
        raise TooLarge(
            f"{where}.message: longer than {limit:,} bytes",
            errors=(FieldError(f"{where}.message", f"longer than {limit:,} bytes"),),
        )
    members: dict[str, Any] = {"line": line, "ts": _time(entry.ts, where) if entry.ts else now}
    if entry.level:
        members["level"] = line_parser.level_of(entry.level)
    if entry.agent_name:
        members["agent_name"] = entry.agent_name
    if entry.event_type:
        members["event_type"] = entry.event_type
    if entry.payload is not None:
        members["payload"] = entry.payload
    members["source"] = source
    encoded = orjson.dumps(members)
    if len(encoded) > ENTRY_BYTES:
        raise TooLarge(f"{where}: the entry is larger than {ENTRY_BYTES:,} bytes")
    return Encoded(encoded[1:], members.get("level"), members.get("agent_name"))


def lines_of(run_id: UUID, given: Sequence[Encoded], first_line: int | None = None) -> Lines:
    """Entries as lines of a run, numbered from `first_line` or by their commit."""
    levels = 0
    for level in {entry.level for entry in given}:
        levels |= segments.level_bit(level)
    agents = frozenset(entry.agent_name for entry in given if entry.agent_name)
    records = b"\n".join([entry.record for entry in given])
    return Lines(run_id, records, len(given), levels, agents, first_line)


def _time(text: str, where: str) -> str:
    try:
        return times.to_milliseconds(times.parse(text))
    except (ValueError, OverflowError):
        raise Invalid.of(f"{where}.ts", "not an ISO-8601 time") from None


@dataclass(frozen=True, slots=True)
class Append:
    """Encoded entries of one caller that are stored together."""

    project_id: UUID
    run_id: UUID
    entries: Sequence[Encoded]


@dataclass(frozen=True, slots=True)
class Appended:
    """Where they are: `number` of the first line, and how to learn the number of its event."""

    append: Append
    number: int
    learn_id: Callable[[], int]

    @property
    def id(self) -> int:
        """The event number of the first line; known once the transaction has committed."""
        return self.learn_id()

    @property
    def last_id(self) -> int:
        return self.id + len(self.append.entries) - 1

    def first(self, id: int) -> dict[str, Any]:
        """The first entry, as it is answered."""
        members = {"run_id": str(self.append.run_id), "line_number": self.number}
        return shown(id, members | orjson.loads(b"{" + self.append.entries[0].record))


async def append_all(
    transaction: Transaction, appends: Sequence[Append]
) -> Sequence[Appended | Problem]:
    """Stores everybody's entries: the group change of this project's hot path."""
    counts: dict[UUID, int] = {}
    for append in appends:
        counts[append.run_id] = counts.get(append.run_id, 0) + len(append.entries)
    bases = await sources.take_line_numbers(transaction.connection, counts)
    results: list[Appended | Problem] = []
    for append in appends:
        base = bases.get(append.run_id)
        if base is None:
            results.append(NotFound(f"no run '{append.run_id}'"))
            continue
        results.append(_emit(transaction, append, base))
        bases[append.run_id] = base + len(append.entries)
    return results


async def append_at_once(
    connection: Connection, project_id: UUID, appends: Sequence[Append]
) -> tuple[Sequence[Appended | Problem], Sequence[Committed]]:
    """Stores entries in one round trip: one statement, and by itself a transaction."""
    of_runs: dict[UUID, list[Append]] = {}
    for append in appends:
        of_runs.setdefault(append.run_id, []).append(append)
    segments_of_runs = {
        run_id: segments.of(
            [lines_of(run_id, [entry for append in its for entry in append.entries])]
        )
        for run_id, its in of_runs.items()
    }
    given = [(project_id, one) for its in segments_of_runs.values() for one in its]
    placed, committed = await store(connection, given)
    starts: dict[UUID, tuple[int, int]] = {}
    for (_, segment), one in zip(given, placed, strict=True):
        if one is not None and segment.run_id is not None:
            starts.setdefault(segment.run_id, (one.first_line, one.first))
    results: list[Appended | Problem] = []
    for append in appends:
        if (start := starts.get(append.run_id)) is None:
            results.append(NotFound(f"no run '{append.run_id}'"))
            continue
        number, id = start
        results.append(Appended(append, number, functools.partial(int, id)))
        starts[append.run_id] = number + len(append.entries), id + len(append.entries)
    return results, committed


def _emit(transaction: Transaction, append: Append, base: int) -> Appended:
    place = transaction.emitted(append.project_id) + 1
    transaction.emit(append.project_id, lines_of(append.run_id, append.entries, base + 1))
    return Appended(append, base + 1, lambda: transaction.base(append.project_id) + place)


async def append(eventlog: EventLog, item: Append) -> Appended:
    """Stores one caller's entries, together with those of other callers that wait. Raises `NotFound`,
    `Unavailable`."""
    return await eventlog.commit_many(item.project_id, append_all, item, append_at_once)


def shown(id: int, members: dict[str, Any]) -> dict[str, Any]:
    """A stored event's data as a log entry: `line` is shown as `message`, and every member is there."""
    get = members.get
    entry = {
        "id": id,
        "run_id": members["run_id"],
        "line_number": members["line_number"],
        "ts": members["ts"],
        "level": get("level"),
        "agent_name": get("agent_name"),
        "event_type": get("event_type"),
        "message": members["line"],
        "payload": get("payload"),
        "source": members["source"],
        "source_line": get("source_line"),
    }
    for name in FLAGS:
        if name in members:
            entry[name] = members[name]
    return entry
