"""Rollouts that Codex has compressed: the same lines, read through zstd where this Python has it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runcast.watch.line_file import RECORD_BYTES, Identity, Line, LineFile, open_own

MODULES = ("compression.zstd", "backports.zstd")


def module() -> Any | None:
    """The library that reads zstd; None where there is none."""
    for name in MODULES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


class ZstdLineFile:
    """The lines of a compressed file, which doesn't grow. Offsets are those of the file before."""

    is_positional = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0

    def identity(self) -> Identity:
        """Which file it is. Raises `OSError`."""
        return LineFile(self.path).identity()

    def continues(self, known: Identity, at_least: int) -> bool:
        """Whether it is the file that was known: a compressed one is not the one that grew."""
        return self.identity() == known

    def lines(self, limit_bytes: int | None = None) -> Iterator[Line]:
        """The lines from `offset` on. Raises `OSError`."""
        zstd = module()
        if zstd is None:
            raise OSError(
                f"{self.path} is compressed, and this Python has no zstd (install backports.zstd)"
            )
        start, place = self.offset, 0
        try:
            with open(open_own(self.path), "rb") as raw, zstd.open(raw, "rb") as file:
                while text := file.readline(RECORD_BYTES + 1):
                    place += len(text)
                    if place <= start or not text.endswith(b"\n"):
                        continue
                    self.offset = place
                    yield Line(text[:-1], place - len(text), place)
                    if limit_bytes is not None and place - start >= limit_bytes:
                        return
        except (zstd.ZstdError, EOFError) as error:
            raise OSError(f"{self.path}: {error}") from error
