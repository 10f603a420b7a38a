"""The blocks that this process published last: a hub in the same process need not ask Redis for them.

Messages above some size carry no frames, and the hub reads the stream instead. Where the writer is in the
same process, as in `runcast up`, what it would read has just been sent from here. What is kept is committed,
so it may be read before Redis has it.
"""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID

from runcast_server.frames import Block

KEPT_BYTES = 4 * 1024 * 1024


class Recent:
    """Whole blocks by project and first number, the oldest forgotten beyond `limit` bytes."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self._blocks: OrderedDict[tuple[UUID, int], Block] = OrderedDict()
        self._size = 0

    def keep(self, project_id: UUID, block: Block) -> None:
        """Notes a committed block."""
        key = (project_id, block.first)
        if (before := self._blocks.pop(key, None)) is not None:
            self._size -= len(before.frames)
        self._blocks[key] = block
        self._size += len(block.frames)
        while self._size > self._limit:
            _, oldest = self._blocks.popitem(last=False)
            self._size -= len(oldest.frames)

    def after(self, project_id: UUID, epoch: int, after: int) -> list[Block]:
        """The blocks of that history from number `after` + 1 on, without a hole; empty where none begins
        there."""
        blocks: list[Block] = []
        block = self._blocks.get((project_id, after + 1))
        while block is not None and block.epoch == epoch:
            blocks.append(block)
            block = self._blocks.get((project_id, block.last + 1))
        return blocks
