"""Open files, never more than a few: idle ones are closed and opened again when they grow.

Running out of descriptors is a normal state (`ulimit -n 256`, thousands of runs). It makes reading
slower and never means that a file is gone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path

from runcast_server import beneath


def sensible_limit() -> int:
    """A quarter of what the process may open, at most 512."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(8, min(512, (soft if soft > 0 else 1_024) // 4))


class Descriptors:
    """At most `limit` open files by owner; the one unused for longest is closed first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._open: OrderedDict[Hashable, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def get(self, owner: Hashable) -> int | None:
        """The owner's open file, if it still is."""
        descriptor = self._open.get(owner)
        if descriptor is not None:
            self._open.move_to_end(owner)
        return descriptor

    def open(self, owner: Hashable, root: Path, path: Path) -> int:
        """Opens a regular file beneath `root` for its owner, in place of the one that it had.

        Raises `OSError`, as `beneath.open_file` does.
        """
        self.close(owner)
        while len(self._open) >= self.limit:
            self._close_oldest()
        descriptor = self._open_somehow(root, path)
        self._open[owner] = descriptor
        return descriptor

    def _open_somehow(self, root: Path, path: Path) -> int:
        while True:
            try:
                return beneath.open_file(root, path)
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE) or not self._open:
                    raise
                self._close_oldest()

    def close(self, owner: Hashable) -> None:
        descriptor = self._open.pop(owner, None)
        if descriptor is not None:
            _close(descriptor)

    def close_all(self) -> None:
        while self._open:
            self._close_oldest()

    def _close_oldest(self) -> None:
        _, descriptor = self._open.popitem(last=False)
        _close(descriptor)


def _close(descriptor: int) -> None:
    with contextlib.suppress(
        OSError
    ):  # a stale network handle can fail to close; it's closed anyway
        os.close(descriptor)
