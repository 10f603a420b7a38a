"""What waits on the ingest stream, in an order that is fair: projects take turns, and so do a project's runs.

The messages of one run stay in stream order; those of different runs need not. While everything that waits
fits into one batch, it goes in stream order, and so does one run's backlog. Beyond that each batch takes the
least served project's least served run first, so that a line of a quiet one never waits behind a flood.

To find that line, the stream is read far beyond what can be applied. Memory is bounded all the same: of a
project that has `KEPT_BYTES` waiting nothing more is kept; it's noted from where on its runs must be read
again. The ingest cursor says the same in words (`cursors`), so that the next leader continues exactly there.
"""

from __future__ import annotations

import heapq
import zlib
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from runcast_api.ingest import batch_items, cursors, messages
from runcast_api.ingest.batches import MAX_EVENTS, Read
from runcast_api.ingest.cursors import Order
from runcast_api.ingest.messages import Message
from runcast_api.ingest.stream import (
    PAGE_BYTES,
    Entry,
    IngestStream,
    Position,
    as_numbers,
    next_id,
)

KEPT_BYTES = 4 * 1024 * 1024
"""Bytes of one project's messages that wait in memory, at most about."""
ALL_BYTES = 64 * 1024 * 1024
MOST_LANES = 2_000
"""Runs with something waiting; where there are more, nothing further on is read."""
BLOCK_MS = 1_000
FEWEST, MOST = 16, 1_000
"""Entries of one read, about `PAGE_BYTES` in all."""
PAGES = 3
"""Reads at once, while a batch commits."""

GroupOf = Callable[[Message], Hashable]
"""The project of a message, as far as it is known: those of one group share their turns."""


@dataclass(eq=False, slots=True)
class Group:
    """The runs of one project that have something waiting, and how many bytes of it are in memory."""

    key: Hashable
    lanes: int = 0
    size: int = 0

    @property
    def is_full(self) -> bool:
        return self.size >= KEPT_BYTES


@dataclass(eq=False, slots=True)
class Lane:
    """The messages of one run that wait, in stream order. From `skipped` on they are only in the stream."""

    name: str
    group: Group
    waiting: deque[Read] = field(default_factory=deque)
    skipped: str | None = None

    @property
    def first(self) -> str | None:
        """The first id that isn't done, as far as the stream was read."""
        return self.waiting[0].id if self.waiting else self.skipped


class FairQueue:
    """Batches of the stream from a position on, of at most `max_events`, or one message that has more."""

    def __init__(
        self,
        stream: IngestStream,
        position: Position,
        group_of: GroupOf,
        max_events: int = MAX_EVENTS,
    ) -> None:
        self._stream = stream
        self._group_of = group_of
        self.max_events = max_events
        self.most_bytes = ALL_BYTES
        """How much of the stream may wait in memory, at most about."""
        self._lanes: dict[str, Lane] = {}
        self._groups: dict[Hashable, Group] = {}
        self._size = self._number = 0
        self._page = FEWEST * 4
        self._next: list[Read] | None = None
        self._read_to, behind = cursors.parse(position.last_id)
        self._done_to = self._read_to
        """The highest id that was given in a batch."""
        for name, first in behind.items():
            self._lane(name, "").skipped = first

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known to wait."""
        return self._next is None and not self._lanes

    async def next(self) -> list[Read] | None:
        """The next batch; waits for one, and answers None where none came for a while."""
        if self.is_empty:
            await self._read_on(BLOCK_MS)
        while self.peek() is None and self._lanes:
            await self.fill()
        batch, self._next = self._next, None
        return batch

    def peek(self) -> list[Read] | None:
        """The batch that comes next, if it's in memory."""
        if self._next is None and self._number:
            self._next = self._built()
        return self._next

    async def fill(self) -> None:
        """Reads on without waiting: first what was skipped and has room now, then what is new."""
        if any(lane.skipped and lane.group.size < KEPT_BYTES // 2 for lane in self._lanes.values()):
            await self._read_again()
        for _ in range(PAGES):
            if self._size >= self.most_bytes or len(self._lanes) >= MOST_LANES:
                return  # as many as that are read again before anything new is
            if not await self._read_on():
                return

    # Reading

    async def _read_on(self, block_ms: int | None = None) -> bool:
        """Reads a page that wasn't read yet. Whether there may be another."""
        asked = self._page
        entries = await self._stream.read(self._read_to, count=asked, block_ms=block_ms)
        if not entries:
            return False
        for entry in entries:
            value, name = _opened(entry)
            lane = self._lanes.get(name)
            if lane is None or not (lane.skipped or lane.group.is_full):
                lane = self._keep(entry, value, name)
            if lane is not None:
                lane.skipped = lane.skipped or entry.id
        self._read_to = entries[-1].id
        mean_bytes = sum(len(entry.raw) for entry in entries) // len(entries) + 1
        self._page = max(FEWEST, min(MOST, PAGE_BYTES // mean_bytes))
        return len(entries) == asked

    async def _read_again(self) -> None:
        """Reads a page of what was skipped, from the first of it on, and keeps what has room now."""
        wanted = {name: lane for name, lane in self._lanes.items() if lane.skipped}
        wanted = {name: lane for name, lane in wanted.items() if not lane.group.is_full}
        if not wanted:
            return
        start = min((lane.skipped or "" for lane in wanted.values()), key=as_numbers)
        entries, is_all = await self._stream.range(start, self._read_to, count=self._page)
        for entry in entries:
            value, name = _opened(entry)
            if (lane := wanted.get(name)) is None or lane.skipped is None:
                continue
            if as_numbers(entry.id) < as_numbers(lane.skipped):
                continue
            lane.skipped = next_id(entry.id)
            if self._keep(entry, value, name) is not None:
                lane.skipped = entry.id
                del wanted[name]
        is_all = is_all or entries[-1].id == self._read_to
        for lane in wanted.values():
            if is_all:
                lane.skipped = None
                self._forget_if_empty(lane)
            elif as_numbers(lane.skipped or "0") <= as_numbers(entries[-1].id):
                lane.skipped = next_id(entries[-1].id)

    def _keep(self, entry: Entry, value: Any, name: str) -> Lane | None:
        """Keeps a message, understood; answers its lane, where its project has too much in memory."""
        lane = self._lanes.get(name)
        if lane is not None and lane.group.is_full:
            return lane
        is_tailers = self._stream.is_tailers
        item = (
            batch_items.read(entry.raw, is_tailers=is_tailers)
            if value is None
            else batch_items.of_value(entry.raw, value, is_tailers=is_tailers)
        )
        lane = self._lane(name, self._group_of(item.message) if item.message else "")
        if lane.group.is_full:
            return lane
        lane.waiting.append(Read(entry.id, item))
        lane.group.size += len(entry.raw)
        self._size += len(entry.raw)
        self._number += 1
        return None

    def _lane(self, name: str, group: Hashable) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            found = self._groups.setdefault(group, Group(group))
            found.lanes += 1
            lane = self._lanes[name] = Lane(name, found)
        return lane

    # Taking turns

    def _built(self) -> list[Read]:
        """The next batch of what is in memory, its ids rising."""
        order = Order(self._done_to, self._firsts())
        taken = sorted(self._turns(), key=lambda each: as_numbers(each[1].id))
        for place, (lane, read) in enumerate(taken):
            order.add(lane.name, read.id)
            read.order, read.place = order, place
        order.after = self._firsts()
        self._done_to = max(self._done_to, taken[-1][1].id, key=as_numbers)
        return [read for _, read in taken]

    def _firsts(self) -> dict[str, str]:
        return {name: first for name, lane in self._lanes.items() if (first := lane.first)}

    def _turns(self) -> Iterator[tuple[Lane, Read]]:
        """Takes messages out, those of the least served project and run first, and of those the oldest."""
        served: dict[Hashable, int] = {}
        heap = [
            (0, 0, as_numbers(lane.waiting[0].id), lane.name)
            for lane in self._lanes.values()
            if lane.waiting
        ]
        heapq.heapify(heap)
        taken = 0
        while heap and taken < self.max_events:
            by_group, by_lane, first, name = heapq.heappop(heap)
            lane = self._lanes[name]
            so_far = served.get(lane.group.key, 0)
            if so_far != by_group:  # its project had a turn since this was put here
                heapq.heappush(heap, (so_far, by_lane, first, name))
                continue
            read = lane.waiting[0]
            # One that only closes a source has no events, and takes its turn like any other.
            number = max(1, read.item.message.weight) if read.item.message else 1
            if so_far and taken + number > self.max_events:
                continue  # only a project's first turn may go beyond the limit
            self._remove(lane)
            taken += number
            served[lane.group.key] = so_far + number
            if lane.waiting:
                following = as_numbers(lane.waiting[0].id)
                heapq.heappush(heap, (so_far + number, by_lane + number, following, name))
            yield lane, read
            self._forget_if_empty(lane)

    def _remove(self, lane: Lane) -> None:
        size = len(lane.waiting.popleft().item.raw)
        lane.group.size -= size
        self._size -= size
        self._number -= 1

    def _forget_if_empty(self, lane: Lane) -> None:
        if lane.waiting or lane.skipped:
            return
        del self._lanes[lane.name]
        lane.group.lanes -= 1
        if not lane.group.lanes:
            del self._groups[lane.group.key]


def _opened(entry: Entry) -> tuple[Any, str]:
    """An entry's JSON, None where it has none, and its lane: the same for all messages of one run, as long as
    they name it in the same way."""
    try:
        value = messages.decode(entry.raw)
    except Exception:  # why is found when it's understood
        value = None
    return value, f"{zlib.crc32(messages.run_named(value).encode(errors='replace')):08x}"
