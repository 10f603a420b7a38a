"""Messages of the Agent Client Protocol out of the bytes that pass: JSON, one a line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

LINE_BYTES = 16 * 1024 * 1024
"""A longer message is passed on, and not read."""


@dataclass(eq=False)
class Lines:
    """Messages out of bytes, one a line. `left_out` counts the bytes of messages that are too long. A line
    without all that is in `having` isn't read."""

    having: tuple[bytes, ...] = ()
    left_out: int = 0
    _partial: bytearray = field(default_factory=bytearray)
    _is_too_long: bool = False

    def feed(self, data: bytes) -> Iterator[Any]:
        """The messages that are whole now; what is no JSON is none."""
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._keep(line)
            if self._is_read():
                with contextlib.suppress(orjson.JSONDecodeError):
                    yield orjson.loads(self._partial)
            self._partial.clear()
            self._is_too_long = False
        self._keep(rest)

    def _is_read(self) -> bool:
        if self._is_too_long or not self._partial.strip():
            return False
        return all(part in self._partial for part in self.having)

    def _keep(self, data: bytes) -> None:
        if self._is_too_long or len(self._partial) + len(data) > LINE_BYTES:
            self.left_out += len(data) + len(self._partial)
            self._partial.clear()
            self._is_too_long = True
        else:
            self._partial += data
