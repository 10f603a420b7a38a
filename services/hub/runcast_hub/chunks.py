"""What a socket is handed at once, and what a stream holds of a page while its socket takes it."""

from __future__ import annotations

from collections.abc import Iterator

from runcast_server.eventlog.frames import FRAME_END
from runcast_server.eventlog.history import Page

CHUNK_BYTES = 64 * 1024
"""What a socket is handed at once at most: the only bytes that wait in the process for a slow client."""
HELD_BYTES = 512 * 1024
"""What a stream that reads on holds of a page at most, unless one frame is longer. Less would read the same
page again for each few chunks of a client that is slow, where memory is too short to keep it."""


def pieces(data: bytes) -> Iterator[bytes]:
    """The bytes in pieces of at most `CHUNK_BYTES`."""
    if len(data) <= CHUNK_BYTES:
        yield data
        return
    view = memoryview(data)
    for start in range(0, len(data), CHUNK_BYTES):
        yield bytes(view[start : start + CHUNK_BYTES])


def cut(page: Page) -> list[Page]:
    """The page in parts of at most `HELD_BYTES`; a longer frame is a part of its own.

    Each part ends at the number of its last frame, and the last one where the page does.
    """
    frames = page.frames
    parts: list[Page] = []
    start = 0
    while len(frames) - start > HELD_BYTES:
        found = frames.rfind(FRAME_END, start, start + HELD_BYTES)
        end = (found if found >= 0 else frames.index(FRAME_END, start)) + len(FRAME_END)
        if end == len(frames):
            break
        parts.append(Page(frames[start:end], _last_number(frames, start, end), page.floor))
        start = end
    parts.append(Page(frames[start:], page.upto, page.floor) if start else page)
    return parts


def _last_number(frames: bytes, start: int, end: int) -> int:
    """The number of the last frame of these bytes, which begins with `id: `."""
    found = frames.rfind(FRAME_END, start, end - len(FRAME_END))
    begin = (start if found < 0 else found + len(FRAME_END)) + len(b"id: ")
    return int(frames[begin : frames.index(b"\n", begin)])
