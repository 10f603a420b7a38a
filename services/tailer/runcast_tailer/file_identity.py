"""Which file is this? A path says little: files are rotated, replaced and rewritten in place.

A cursor belongs to a device, an inode and the bytes before it. The hash covers the last bytes before the
cursor, not the first of the file: two logs often begin alike, and a file that was truncated and written
again beyond its old length keeps its inode.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

CHECKED_BYTES = 1_024
"""Bytes before a cursor that are hashed."""
GONE = "gone"
"""Stands for a hash where the bytes before a cursor are known to be nowhere: no file has them."""


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """A file as its file system knows it."""

    device: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileIdentity:
        return cls(status.st_dev, status.st_ino)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a source: the next line's number (from 1) in a generation, and its first byte."""

    generation: int = 1
    line: int = 1
    offset: int = 0

    def after(self, lines: int, size: int) -> Cursor:
        return Cursor(self.generation, self.line + lines, self.offset + size)


@dataclass(frozen=True, slots=True)
class Committed:
    """What Postgres holds of a source: where it stands, in which file, and whether it's closed.

    `file` and `fingerprint` are None where lines came from someone who didn't say.
    """

    cursor: Cursor = Cursor()
    file: FileIdentity | None = None
    fingerprint: str | None = None
    closed_reason: str | None = None
    lines: int = 0
    bytes: int = 0
    bytes_after_end: int = 0


def fingerprint(before: bytes) -> str:
    """The hash of what stands right before a cursor; at the start of a file, of nothing."""
    return hashlib.blake2b(before[-CHECKED_BYTES:], digest_size=8).hexdigest()
