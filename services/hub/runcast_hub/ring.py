"""A project's recent frames, held once, bounded in events and bytes.

The bytes of all rings of a process come out of one budget: a room may use its equal share, so that a
busy project can't push the others' recent past out of memory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass

from runcast_server.frames import Block

LEAST_BYTES = 64 * 1024


@dataclass(slots=True)
class Budget:
    """The memory that all rings of a process share, in bytes, and how many rings there are."""

    bytes: int
    rings: int = 0
    used: int = 0

    def share(self) -> int:
        """What one ring may hold."""
        return max(LEAST_BYTES, self.bytes // max(1, self.rings))


class Ring:
    """Blocks `first`…`last` without a hole, the oldest dropped when the bounds are met."""

    def __init__(self, budget: Budget, max_events: int) -> None:
        self._budget = budget
        self._max_events = max_events
        self._blocks: deque[Block] = deque()
        self._size = 0
        budget.rings += 1

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
        self._trim()

    def prepend(self, block: Block) -> bool:
        """Adds the block that comes before the first; False when there is no room for it."""
        if self._size + len(block.frames) > self._budget.share() or (
            self._blocks and self._blocks[-1].last - block.first >= self._max_events
        ):
            return False
        self._blocks.appendleft(block)
        self._grow(len(block.frames))
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
        self._budget.rings -= 1

    def _trim(self) -> None:
        share = self._budget.share()
        while len(self._blocks) > 1 and (
            self._size > share or self._blocks[-1].last - self._blocks[0].first >= self._max_events
        ):
            self._grow(-len(self._blocks.popleft().frames))

    def _grow(self, size: int) -> None:
        self._size += size
        self._budget.used += size
