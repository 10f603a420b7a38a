"""A project's recent frames, held once, bounded in events and bytes.

The bytes of all rings of a process come out of one budget. While there is room, a ring may hold as much
as it likes. When the budget is used up, a sixteenth of it is taken back at once: from the largest rings,
down to one level for all, and among equals from those that were written longest ago. So a busy project can't
push the others' recent past out of memory, and all rings are gone through once in many appends.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from runcast_server.eventlog.frames import Block

RESERVED = 8
"""The part of the budget that tenants may hold where rings take all the rest: one in this many bytes."""
RECLAIMED = 16
"""The part of the rings' memory that is taken back at once."""


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
        self.written = 0
        """Appends so far, to tell which ring was written last."""
        self.walks = 0
        """How often all rings were gone through."""
        self.tenants: list[Tenant] = []

    @property
    def of_rings(self) -> int:
        """What all rings may hold together: tenants have the rest in any case."""
        return self.size - self.size // RESERVED

    @property
    def share(self) -> int:
        """What a ring may hold in any case."""
        return self.of_rings // max(1, len(self.rings))

    @property
    def free(self) -> int:
        """What the rings don't use."""
        return max(0, self.size - self.used)

    def reclaim(self) -> None:
        """When more is used than there is, takes back what tenants hold, and what the largest rings do."""
        if self.used > self.of_rings:
            self._reclaim_rings(self.of_rings - self.of_rings // RECLAIMED)
        for tenant in self.tenants:
            if tenant.size > self.free:
                tenant.shrink(self.free)

    def _reclaim_rings(self, wanted: int) -> None:
        self.walks += 1
        rings = sorted(self.rings, key=lambda ring: (-ring.size, ring.written))
        level = _level([ring.size for ring in rings], wanted)
        for ring in rings:
            if self.used <= wanted:
                break
            ring.shrink(level)


def _level(sizes: Sequence[int], wanted: int) -> int:
    """The size to which all that are larger must shrink, so that all together hold `wanted` bytes. `sizes`
    are sorted, the largest first."""
    left = sum(sizes)
    for number, size in enumerate(sizes, 1):
        left -= size
        following = sizes[number] if number < len(sizes) else 0
        if left + number * following <= wanted:
            return max(0, (wanted - left) // number)
    return 0


class Ring:
    """Blocks `first`…`last` without a hole, the oldest dropped when the bounds are met."""

    def __init__(self, budget: Budget, max_events: int) -> None:
        self._budget = budget
        self._max_events = max_events
        self._blocks: deque[Block] = deque()
        self.size = 0
        self.written = 0
        budget.rings.add(self)

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def first(self) -> int | None:
        """The oldest number held; None when the ring is empty."""
        return self._blocks[0].first if self._blocks else None

    def append(self, block: Block) -> None:
        """Adds the block that comes next."""
        self._budget.written += 1
        self.written = self._budget.written
        self._blocks.append(block)
        self._grow(len(block.frames))
        while len(self._blocks) > 1 and self._spans(self._blocks[0]):
            self._drop_oldest()
        self._budget.reclaim()

    def prepend(self, block: Block) -> bool:
        """Adds the block that comes before the first; False when there is no room for it."""
        size = len(block.frames)
        fits = (
            self._budget.used + size <= self._budget.of_rings
            or self.size + size <= self._budget.share
        )
        if not fits or self._spans(block):
            return False
        self._blocks.appendleft(block)
        self._grow(len(block.frames))
        self._budget.reclaim()
        return True

    def after(self, cursor: int, limit_bytes: int) -> list[Block]:
        """The blocks from the one that holds `cursor` + 1, up to `limit_bytes` of them, at least one.

        The caller makes sure that the ring reaches back to `cursor` + 1, and cuts the first block.
        """
        start = bisect_left(self._blocks, cursor + 1, key=lambda block: block.last)
        taken: list[Block] = []
        size = 0
        for index in range(start, len(self._blocks)):
            block = self._blocks[index]
            size += len(block.frames)
            if taken and size > limit_bytes:
                break
            taken.append(block)
        return taken

    def clear(self) -> None:
        """Forgets all blocks."""
        self._grow(-self.size)
        self._blocks.clear()

    def close(self) -> None:
        """Gives the ring's share back."""
        self.clear()
        self._budget.rings.discard(self)

    def shrink(self, size: int) -> None:
        """Drops the oldest blocks until no more than `size` bytes are held."""
        while self._blocks and self.size > size:
            self._drop_oldest()

    def _spans(self, oldest: Block) -> bool:
        """Whether from this block on there are more events than the ring may hold."""
        return bool(self._blocks) and self._blocks[-1].last - oldest.first >= self._max_events

    def _drop_oldest(self) -> None:
        self._grow(-len(self._blocks.popleft().frames))

    def _grow(self, size: int) -> None:
        self.size += size
        self._budget.used += size
