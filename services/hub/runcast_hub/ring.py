"""A project's recent frames, held once, bounded in events and bytes.

The bytes of all rings of a process come out of one budget. While there is room, a ring may hold as much
as it likes; when the budget is used up, rings above their equal share give back what they have above it,
so that a busy project can't push the others' recent past out of memory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Protocol

from runcast_server.eventlog.frames import Block

LEAST_BYTES = 64 * 1024


class Tenant(Protocol):
    """Something that lives in what the rings leave free, and goes first."""

    size: int

    def shrink(self, size: int) -> None: ...


class Budget:
    """The memory that all rings of a process share, in bytes. `used` is what the rings hold."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = 0
        self.rings: set[Ring] = set()
        self.tenants: list[Tenant] = []

    @property
    def share(self) -> int:
        """What a ring may hold in any case."""
        return max(LEAST_BYTES, self.size // max(1, len(self.rings)))

    @property
    def free(self) -> int:
        """What the rings don't use."""
        return max(0, self.size - self.used)

    def reclaim(self) -> None:
        """When more is used than there is, takes back what tenants hold, and what rings hold above
        their share."""
        for tenant in self.tenants:
            if tenant.size > self.size - self.used:
                tenant.shrink(self.free)
        if self.used > self.size:
            share = self.share
            for ring in self.rings:
                ring.shrink(share)


class Ring:
    """Blocks `first`…`last` without a hole, the oldest dropped when the bounds are met."""

    def __init__(self, budget: Budget, max_events: int) -> None:
        self._budget = budget
        self._max_events = max_events
        self._blocks: deque[Block] = deque()
        self._size = 0
        budget.rings.add(self)

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def first(self) -> int | None:
        """The oldest number held; None when the ring is empty."""
        return self._blocks[0].first if self._blocks else None

    def append(self, block: Block) -> None:
        """Adds the block that comes next."""
        self._blocks.append(block)
        self._grow(len(block.frames))
        while len(self._blocks) > 1 and self._spans(self._blocks[0]):
            self._drop_oldest()
        self._budget.reclaim()

    def prepend(self, block: Block) -> bool:
        """Adds the block that comes before the first; False when there is no room for it."""
        size = len(block.frames)
        fits = (
            self._budget.used + size <= self._budget.size or self._size + size <= self._budget.share
        )
        if not fits or self._spans(block):
            return False
        self._blocks.appendleft(block)
        self._grow(len(block.frames))
        self._budget.reclaim()
        return True

    def after(self, cursor: int, limit_bytes: int) -> list[Block]:
        """The blocks from the one that holds `cursor` + 1, about `limit_bytes` of them, at least one.

        The caller makes sure that the ring reaches back to `cursor` + 1, and cuts the first block.
        """
        start = bisect_left(self._blocks, cursor + 1, key=lambda block: block.last)
        taken: list[Block] = []
        size = 0
        for index in range(start, len(self._blocks)):
            block = self._blocks[index]
            taken.append(block)
            size += len(block.frames)
            if size >= limit_bytes:
                break
        return taken

    def clear(self) -> None:
        """Forgets all blocks."""
        self._grow(-self._size)
        self._blocks.clear()

    def close(self) -> None:
        """Gives the ring's share back."""
        self.clear()
        self._budget.rings.discard(self)

    def shrink(self, size: int) -> None:
        """Drops the oldest blocks until no more than `size` bytes are held; the last one stays."""
        while len(self._blocks) > 1 and self._size > size:
            self._drop_oldest()

    def _spans(self, oldest: Block) -> bool:
        """Whether from this block on there are more events than the ring may hold."""
        return bool(self._blocks) and self._blocks[-1].last - oldest.first >= self._max_events

    def _drop_oldest(self) -> None:
        self._grow(-len(self._blocks.popleft().frames))

    def _grow(self, size: int) -> None:
        self._size += size
        self._budget.used += size
