"""The lock by which one process at a time writes a run: held on the run's spool."""

import errno
from collections.abc import Sequence

from runcast._recording import locks
from runcast._recording.files import LineFile
from runcast._recording.open_files import NO_DESCRIPTOR, open_files
from runcast._recording.spool import Spool

LOCK_SECONDS = 2.0


class SpoolLock:
    """Opens the spool where that is needed, and locks it. Used by one thread at a time.

    `views` are the run's other files, which are opened again with it.
    """

    def __init__(self, spool: Spool, views: Sequence[LineFile]) -> None:
        self._spool = spool
        self._views = views
        self._fd = -1
        self.seconds = LOCK_SECONDS
        """How long another process is waited for; not at all after it was waited for in vain."""

    def take(self) -> int:
        """Locks the spool; answers its size. Raises `OSError`, `TimeoutError` where a stopped process holds
        the lock."""
        try:
            size = self._lock()
        except OSError:
            self.seconds = 0.0
            raise
        self.seconds = LOCK_SECONDS
        return size

    def release(self) -> None:
        """Gives the lock back, if it is held."""
        if self._fd >= 0:
            locks.unlock(self._fd)
            self._fd = -1

    def make_room(self) -> None:
        """Closes files that the next use opens again: the host program has no descriptor left."""
        open_files.make_room()
        for view in self._views:
            view.close()

    def renew_after_fork(self) -> None:
        """The lock is the parent's."""
        self._fd = -1

    def _lock(self) -> int:
        """What the host program closed behind our back is opened again."""
        size = self._try()
        if size is None:
            self._spool.let_go()
            for view in self._views:
                view.let_go()
            size = self._try()
        if size is None:
            raise OSError(errno.EBADF, "its file is closed again and again", str(self._spool.path))
        return size

    def _try(self) -> int | None:
        # Noted first: what a signal handler raises in between must not leave it locked.
        fd = self._opened()
        if self._spool.opened_size() is None:  # the host's own file: its locks are the host's
            return None
        self._fd = fd
        try:
            if not locks.try_lock(fd):
                locks.lock(fd, self.seconds)
        except OSError as error:
            self._fd = -1
            if error.errno != errno.EBADF:
                raise
            return None
        size = self._spool.opened_size()
        if size is None:
            self.release()
        return size

    def _opened(self) -> int:
        try:
            return self._spool.fileno()
        except OSError as error:
            if error.errno not in NO_DESCRIPTOR:
                raise
            self.make_room()
            return self._spool.fileno()
