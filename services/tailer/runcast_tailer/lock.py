"""Two tailers on the same directory: one works, the other waits."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


class DirectoryLock:
    """A lock on the directory itself, so it works where nothing may be written into it.

    The kernel lets go of it when its holder dies. Where the file system knows no such locks, everybody
    works: the identity of lines stores each of them once all the same.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._has_warned = False

    @property
    def is_held(self) -> bool:
        return self._descriptor is not None

    def acquire(self) -> bool:
        """Whether this process may work. Raises `OSError` where the directory can't be opened."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(descriptor)
                self._warn("tailer.waits_for_another")
                return False
            self._warn("tailer.cannot_lock")
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _warn(self, event: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning(event, path=str(self._path))
