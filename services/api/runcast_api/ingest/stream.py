"""The ingest stream in Redis: reading on from a cursor, and noticing that it's another stream.

A stream entry's id is larger than those of all entries before it. If the last id that a stream ever gave
is below what was committed, this is not the stream that was read: it was emptied, made anew, or failed
over to an older copy. A new stream epoch begins then, and the stream is read from its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from runcast.contract import INGEST_STREAM

START = "0-0"
FIELD = b"m"
LEFTOVERS = 1_000
_MOST = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Position:
    """How far a stream was read, and which one (its epoch). `last_id` is a cursor in words (`cursors`)."""

    epoch: int
    last_id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; `raw` is empty where it has no field `m`."""

    id: str
    raw: bytes


class IngestStream:
    """The stream, by a client of its own: its reads block."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def read(self, after: str, *, count: int, block_ms: int | None = None) -> list[Entry]:
        """The entries after an id; with `block_ms` it waits so long for the first one."""
        answer = await self._client.xread({INGEST_STREAM: after}, count=count, block=block_ms)
        if not answer:
            return []
        streams = answer.items() if isinstance(answer, dict) else answer
        [(_, entries)] = streams
        if entries and isinstance(entries[0], list) and isinstance(entries[0][0], (list, tuple)):
            [entries] = entries
        return [Entry(id.decode(), fields.get(FIELD, b"")) for id, fields in entries]

    async def range(self, first: str, last: str, *, count: int) -> list[Entry]:
        """The entries from an id to another, both included; at most `count`."""
        entries = await self._client.xrange(INGEST_STREAM, min=first, max=last, count=count)
        return [Entry(id.decode(), fields.get(FIELD, b"")) for id, fields in entries]

    async def last_id(self) -> str:
        """The last id that this stream gave, whether or not its entry is still there."""
        try:
            information = await self._client.xinfo_stream(INGEST_STREAM)
        except ResponseError as error:
            if "no such key" in str(error):
                return START
            raise
        last: bytes | str = information["last-generated-id"]
        return last if isinstance(last, str) else last.decode()

    async def delete(self, ids: Sequence[str]) -> None:
        """Removes entries that are committed, by their ids."""
        if ids:
            await self._client.xdel(INGEST_STREAM, *ids)

    async def delete_upto(self, last_id: str) -> None:
        """Removes what was committed by a leader that didn't live to remove it."""
        while True:
            entries = await self._client.xrange(
                INGEST_STREAM, min="-", max=last_id, count=LEFTOVERS
            )
            await self.delete([id.decode() for id, _ in entries])
            if len(entries) < LEFTOVERS:
                return

    async def size(self) -> int:
        """Entries that wait."""
        return int(await self._client.xlen(INGEST_STREAM))


def as_numbers(id: str) -> tuple[int, int]:
    """An id's milliseconds and sequence: ids are compared by these, not as text."""
    milliseconds, _, sequence = id.partition("-")
    return int(milliseconds), int(sequence or 0)


def next_id(id: str) -> str:
    """The lowest id that comes after this one."""
    milliseconds, sequence = as_numbers(id)
    if sequence == _MOST:
        return f"{milliseconds + 1}-0"
    return f"{milliseconds}-{sequence + 1}"


def id_before(id: str) -> str:
    """The highest id that comes before this one."""
    milliseconds, sequence = as_numbers(id)
    if sequence == 0:
        return f"{milliseconds - 1}-{_MOST}" if milliseconds else START
    return f"{milliseconds}-{sequence - 1}"
