"""An ingest stream in Redis: reading on from a cursor, and noticing that it's another stream.

A stream entry's id is larger than those of all entries before it. If the last id that a stream ever gave
is below what was committed, this is not the stream that was read: it was emptied, made again, or failed
over to an older copy. A new stream epoch begins then, and the stream is read from its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from runcast import contract

START = "0-0"
FIELD = b"m"
LEFTOVERS = 1_000
_MOST = 2**64 - 1
LAST = f"{_MOST}-{_MOST}"
"""The highest id that there is: a stream that gave it takes no further entry."""
PAGE_BYTES = 1024 * 1024
_RANGE = """
local found, size, first = {}, 0, ARGV[1]
while #found < tonumber(ARGV[3]) and size < tonumber(ARGV[4]) do
    local entry = redis.call('XRANGE', KEYS[1], first, ARGV[2], 'COUNT', 1)[1]
    if not entry then return {found, 1} end
    local raw = ''
    for place = 1, #entry[2], 2 do
        size = size + #entry[2][place] + #entry[2][place + 1]
        if entry[2][place] == 'm' then raw = entry[2][place + 1] end
    end
    found[#found + 1] = {entry[1], raw}
    if entry[1] == ARGV[5] then return {found, 1} end
    first = '(' .. entry[1]
end
return {found, 0}
"""
_REPLACE = """
if redis.call('XLEN', KEYS[1]) > 0 then return 0 end
local about = redis.call('XINFO', 'STREAM', KEYS[1])
for place = 1, #about, 2 do
    if about[place] == 'last-generated-id' and about[place + 1] ~= ARGV[1] then return 0 end
end
return redis.call('DEL', KEYS[1])
"""


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

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name
        self.is_tailers = contract.is_tailers(name)

    async def read(self, after: str, *, count: int, block_ms: int | None = None) -> list[Entry]:
        """Entries after an id, at most `count` and of the workers' about `PAGE_BYTES`; with `block_ms` it
        waits so long for the first one."""
        if not self.is_tailers:
            if block_ms is None and after == LAST:
                return []
            if block_ms is None:
                return (await self.range(f"({after}", "+", count=count))[0]
            count = 1
        answer = await self._client.xread({self._name: after}, count=count, block=block_ms)
        if not answer:
            return []
        streams = answer.items() if isinstance(answer, dict) else answer
        [(_, entries)] = streams
        if entries and isinstance(entries[0], list) and isinstance(entries[0][0], (list, tuple)):
            [entries] = entries
        return [Entry(id.decode(), fields.get(FIELD, b"")) for id, fields in entries]

    async def range(self, first: str, last: str, *, count: int) -> tuple[list[Entry], bool]:
        """The entries from an id to another, both included, and whether those are all. At most `count`, and
        not more than one beyond `PAGE_BYTES`: a worker's entry may be as large as Redis lets it be."""
        found, is_all = await self._client.eval(
            _RANGE, 1, self._name, first, last, count, PAGE_BYTES, LAST
        )
        return [Entry(id.decode(), raw) for id, raw in found], bool(is_all)

    async def last_id(self) -> str:
        """The last id that this stream gave, whether or not its entry is still there."""
        try:
            information = await self._client.xinfo_stream(self._name)
        except ResponseError as error:
            if "no such key" in str(error):
                return START
            raise
        last: bytes | str = information["last-generated-id"]
        return last if isinstance(last, str) else last.decode()

    async def delete(self, ids: Sequence[str]) -> None:
        """Removes entries that are committed, by their ids."""
        if ids:
            await self._client.xdel(self._name, *ids)

    async def delete_upto(self, last_id: str) -> None:
        """Removes what was committed by a leader that didn't live to remove it."""
        while True:
            entries, is_all = await self.range("-", last_id, count=LEFTOVERS)
            await self.delete([entry.id for entry in entries])
            if is_all:
                return

    async def replace_exhausted(self) -> None:
        """Takes away a stream that gave its last id, once it's empty, so that the next entry begins a new
        one. Any writer can end a stream by naming that id."""
        await self._client.eval(_REPLACE, 1, self._name, LAST)

    async def size(self) -> int:
        """Entries that wait."""
        return int(await self._client.xlen(self._name))


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
