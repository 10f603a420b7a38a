"""What was published here a moment ago is read here, as far as it is kept."""

from uuid import UUID

from runcast_server.frames import Block
from runcast_server.recent import Recent

PROJECT = UUID(int=1)


def block(first: int, last: int, epoch: int = 7) -> Block:
    return Block(epoch, first, last, [], bytes(100))


def test_blocks_that_follow_each_other_are_read_together() -> None:
    recent = Recent()
    for each in (block(1, 3), block(4, 4), block(6, 9)):
        recent.keep(PROJECT, each)
    assert recent.after(PROJECT, 7, 0) == [block(1, 3), block(4, 4)]
    assert recent.after(PROJECT, 7, 3) == [block(4, 4)]
    assert recent.after(PROJECT, 7, 1) == [], "a block is read from its beginning"
    assert recent.after(UUID(int=2), 7, 0) == []


def test_another_history_is_not_read() -> None:
    recent = Recent()
    recent.keep(PROJECT, block(1, 3))
    recent.keep(PROJECT, block(4, 5, epoch=8))
    assert recent.after(PROJECT, 7, 0) == [block(1, 3)]
    assert recent.after(PROJECT, 8, 0) == []
    recent.keep(PROJECT, block(1, 2, epoch=8))
    assert recent.after(PROJECT, 8, 0) == [block(1, 2, epoch=8)]


def test_the_oldest_are_forgotten() -> None:
    recent = Recent(limit=250)
    for first in (1, 2, 2, 3):
        recent.keep(PROJECT, block(first, first))
    assert recent.after(PROJECT, 7, 0) == []
    assert recent.after(PROJECT, 7, 1) == [block(2, 2), block(3, 3)]
