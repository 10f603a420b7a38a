"""Compressed streams: what many are sent in common decodes for each, and the foot is right."""

import gzip as standard
import random
import zlib
from typing import Any, cast

import pytest

from runcast_hub import gzip
from runcast_hub.gzip import Blocks, Gzip, Shared


class Reader:
    """A connection, and the bytes that came on it."""

    def __init__(self, blocks: Blocks) -> None:
        self.gzip: Gzip | None = Gzip(blocks)
        self.bytes_before = 0
        self.came = b""
        self.sent = b""

    def alone(self, data: bytes) -> None:
        assert self.gzip is not None
        self.came += self.gzip.alone(data)
        self.sent += data


def of_chunk(chunk: bytes) -> bytes:
    size, _, rest = chunk.partition(b"\r\n")
    return rest[: int(size, 16)]


def test_checksums_are_appended_as_if_taken_in_one_go() -> None:
    picked = random.Random(3)
    for size in (0, 1, 2, 3, 255, 65_536, 1_000_003):
        first, second = picked.randbytes(50), picked.randbytes(size)
        moved = gzip.moved_by(zlib.crc32(first), size) ^ zlib.crc32(second)
        assert moved == zlib.crc32(first + second)


@pytest.mark.parametrize("seed", range(8))
def test_readers_that_come_and_go_get_what_they_were_sent(seed: int) -> None:
    picked, blocks, shared = random.Random(seed), Blocks(), Shared()
    readers = [Reader(blocks) for _ in range(6)]
    for reader in readers:
        reader.alone(b"event: connected\n\n")
    live: set[Reader] = set()
    for number in range(300):
        reader = picked.choice(readers)
        match picked.randrange(6):
            case 0 if reader not in live:
                shared.join(reader, cast(Any, object()))
                live.add(reader)
            case 1 if reader in live:
                assert shared.part(reader)
                live.remove(reader)
            case 2 if reader not in live:
                reader.alone(b"id: %d\n\n" % number * picked.randrange(1, 9))
            case _ if live:
                data = b"id: %d\ndata: %b\n\n" % (number, picked.randbytes(20).hex().encode())
                made = of_chunk(shared.encoded(data))
                for one in live:
                    one.came += made
                    one.sent += data
    for reader in live:
        shared.part(reader)
    for reader in readers:
        assert reader.gzip is not None
        assert standard.decompress(reader.came + reader.gzip.foot()) == reader.sent
        # Nothing is held back: what came so far decodes before the end.
        assert zlib.decompressobj(31).decompress(reader.came) == reader.sent


def test_lone_events_refer_to_the_ones_before_them() -> None:
    shared, reader = Shared(), Reader(Blocks())
    reader.alone(b"event: connected\n\n")
    shared.join(reader, cast(Any, object()))
    sizes = []
    for number in range(20):
        data = b'id: %d\nevent: x:test\ndata: {"n":%d,"fill":"%b"}\n\n' % (
            number,
            number,
            b"word " * 9,
        )
        sizes.append(len(of_chunk(shared.encoded(data))) / len(data))
    assert max(sizes[2:]) < 0.3


def test_blocks_are_made_once_and_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = Blocks()
    assert blocks.of(b"x" * 100) is blocks.of(b"x" * 100)
    monkeypatch.setattr(gzip, "KEPT_BYTES", 1000)
    first = blocks.of(b"y" * 100)
    for number in range(50):
        blocks.of(b"%d" % number * 100)
    assert blocks.of(b"y" * 100) is not first
