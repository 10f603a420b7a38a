"""Cutting what a socket is handed: whole, in order, and never longer than it may be where frames allow it."""

from hypothesis import given
from hypothesis import strategies as st

from runcast_hub import chunks
from runcast_hub.chunks import CHUNK_BYTES, HELD_BYTES
from runcast_server.eventlog import frames
from runcast_server.eventlog.history import Page


@given(st.lists(st.integers(1, HELD_BYTES + 5_000), min_size=1, max_size=6), st.integers(0, 3))
def test_the_parts_of_a_page_are_the_page(sizes: list[int], unwanted: int) -> None:
    encoded = [
        frames.frame(10 * number, "x:a", b"%b" % (b"x" * size))
        for number, size in enumerate(sizes, 1)
    ]
    page = Page(b"".join(encoded), 10 * len(sizes) + unwanted)
    parts = chunks.cut(page)
    assert b"".join([part.frames for part in parts]) == page.frames
    assert parts[-1].upto == page.upto
    for part in parts[:-1]:
        last = part.frames.rfind(b"id: ")
        assert part.frames[last:].startswith(b"id: %d\n" % part.upto)
        assert len(part.frames) <= HELD_BYTES or part.frames in encoded


def test_a_frame_longer_than_a_chunk_is_handed_over_in_pieces() -> None:
    data = b"abc" * CHUNK_BYTES
    pieces = list(chunks.pieces(data))
    assert b"".join(pieces) == data
    assert max(len(piece) for piece in pieces) == CHUNK_BYTES
