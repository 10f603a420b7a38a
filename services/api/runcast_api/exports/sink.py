"""A file that writers write to and that is sent on at once."""

from __future__ import annotations


class Sink:
    """Takes what is written, in order, and gives it away. It can't seek."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.closed = False

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def take(self) -> bytes:
        """What was written since the last time."""
        taken, self._pieces = b"".join(self._pieces), []
        return taken

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        self.closed = True
