"""Batches of nothing but lines of logs, which is nearly all there is at line rate: one statement each.

A record knows no numbers, and a message says itself where in its source it begins. So a batch is made
ready without knowing what was committed before, also while that is still on its way. The statement
(`take_lines`, in db/migrations) compares each source's cursor with where its message begins, moves it, and
takes the numbers. Where one overlaps or jumps, or its source is new, closed or of another generation, it
changes nothing, and the batch is applied message by message (`slow_path`), which trims it and takes the
numbers in the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from runcast_api.ingest import batch_items, guard
from runcast_api.ingest.messages import Message
from runcast_api.ingest.run_lookup import Address
from runcast_api.logs import sources as log_sources
from runcast_api.logs.sources import Batch, SourceKey
from runcast_server.db import Connection
from runcast_server.eventlog import segments, stored
from runcast_server.eventlog.log import Committed, numbered
from runcast_server.eventlog.segments import Lines, Segment

TAKE = f"SELECT * FROM take_lines({', '.join(f'${n}' for n in range(1, 23))})"

TURN_LINES = 500
"""Lines that are made ready before requests have a turn: some milliseconds."""
LONG_LINE = 512
"""Bytes that take about as long to pack as a line takes otherwise."""


@dataclass(frozen=True, slots=True)
class CursorMove:
    """The swap of the ingest cursor that a batch of the stream begins with."""

    stream: str
    epoch: int
    from_id: str
    to_id: str


@dataclass(slots=True)
class SourceMove:
    """Where a source must stand, and where it stands then."""

    key: SourceKey
    generation: int
    begin_line: int
    begin_offset: int
    end_line: int
    end_offset: int
    file: Any

    def cursor(self) -> dict[str, Any]:
        """The committed cursor, as senders see it."""
        return {
            "source": self.key.source,
            "generation": self.generation,
            "next_line": self.end_line,
            "next_offset": self.end_offset,
        }


@dataclass(slots=True)
class LineBatch:
    """Lines that are ready to be committed."""

    moves: dict[SourceKey, SourceMove] = field(default_factory=dict)
    lines: dict[Address, list[Lines]] = field(default_factory=dict)
    segments: list[tuple[UUID, Segment]] = field(default_factory=list)
    """Its segments, each with its project; those of a run stand together."""

    def add(self, address: Address, source: str, batch: Batch) -> bool:
        """Adds a message's lines; False where it says more than that, or doesn't go on where the one before
        of its source ended."""
        if batch.closed_reason or batch.bytes_after_end or batch_items.is_feed(source):
            return False
        key = SourceKey(address.run_id, source)
        if not batch.texts:
            # It says nothing new of a source that is moved here; of another it might reopen it.
            return key in self.moves and batch.generation == self.moves[key].generation
        end_line = batch.first_line + len(batch.texts)
        move = self.moves.get(key)
        if move is None:
            self.moves[key] = SourceMove(
                key,
                batch.generation,
                batch.first_line,
                batch.first_offset,
                end_line,
                batch.next_offset,
                batch.file,
            )
        else:
            begins = (batch.generation, batch.first_line, batch.first_offset)
            if begins != (move.generation, move.end_line, move.end_offset):
                return False
            move.end_line, move.end_offset = end_line, batch.next_offset
            move.file = batch.file if batch.file is not None else move.file
        self.lines.setdefault(address, []).append(log_sources.lines_of(key, batch))
        return True

    async def pack(self) -> None:
        """Cuts its lines into segments; requests have a turn after some lines here, too."""
        packed = 0
        for address, lines in self.lines.items():
            for segment in segments.one_by_one(lines):
                self.segments.append((address.project_id, segment))
                packed += segment.length + segment.size // LONG_LINE
                if packed >= TURN_LINES:
                    packed = 0
                    await asyncio.sleep(0)


async def prepare(messages: Iterable[tuple[Message | None, Address | None]]) -> LineBatch | None:
    """Makes a batch ready; None where it holds anything but lines of logs of runs that are known. After
    some lines, and after some that are packed, requests have a turn: a whole batch would take long."""
    ready = LineBatch()
    lines = 0
    for message, address in messages:
        if message is None or message.lines is None or address is None:
            return None
        if message.id is not None or message.project is not None:
            return None
        if not ready.add(address, message.lines.source, message.lines.batch()):
            return None
        lines += len(message.lines.lines)
        if lines >= TURN_LINES:
            lines = 0
            await asyncio.sleep(0)
    await ready.pack()
    return ready if ready.lines else None


async def take(
    connection: Connection, ready: LineBatch, cursor: CursorMove | None
) -> Sequence[Committed] | None:
    """Commits a batch, or finds that it doesn't fit, or that Postgres doesn't take it: None then, and nothing
    is changed. Raises what a storage that is away raises."""
    begins: tuple[Any, ...] = (None,) * 4
    if cursor is not None:
        begins = (cursor.stream, cursor.epoch, cursor.from_id, cursor.to_id)
    try:
        rows = await connection.fetch(
            TAKE, *begins, *_columns(ready), *stored.arguments(ready.segments)
        )
    except (asyncpg.SerializationError, asyncpg.LockNotAvailableError):
        return None
    except Exception as error:
        if guard.is_storage_away(error) and not guard.is_missing_partition(error):
            raise
        return None  # the long way finds out what is wrong, or makes the partition
    return numbered(ready.segments, rows)[1] if rows else None


def _columns(ready: LineBatch) -> tuple[list[Any], ...]:
    moves = ready.moves.values()
    return (
        [move.key.run_id for move in moves],
        [move.key.source for move in moves],
        [move.generation for move in moves],
        [move.begin_line for move in moves],
        [move.end_line for move in moves],
        [move.begin_offset for move in moves],
        [move.end_offset for move in moves],
        [None if move.file is None else orjson.dumps(move.file).decode() for move in moves],
    )
