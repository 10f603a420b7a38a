"""Locks between processes, held on an open file and gone with the process that held them.

Windows has no `flock`, nor have some network file systems: there a run is written by one process at a time,
without a lock.
"""

import contextlib
import errno
import time
from collections.abc import Iterator
from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:
    fcntl = None

_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
"""Of file systems without locks: NFS without its daemon, Lustre without `-o flock`, some of FUSE."""


def try_lock(fd: int) -> bool:
    """Takes the lock if no one holds it. It belongs to the open file: a forked child shares it with
    its parent, and has to open the file itself to have one of its own."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def unlock(fd: int) -> None:
    """Gives the lock back."""
    if fcntl is None:
        return
    try:  # noqa: SIM105 — a hundred thousand times a second
        fcntl.flock(fd, fcntl.LOCK_UN)
    except OSError:
        pass


def lock(fd: int, timeout_seconds: float) -> None:
    """Takes the lock, waiting for it at most so long; raises `TimeoutError`.

    Polled, because a blocking `flock` has no time-out and would stop the host program for as
    long as a stopped process holds the lock.
    """
    if try_lock(fd):
        return
    deadline = time.monotonic() + timeout_seconds
    pause = 0.00005
    while not try_lock(fd):
        if time.monotonic() > deadline:
            raise TimeoutError("another process holds the lock")
        time.sleep(pause)
        pause = min(pause * 2, 0.01)


@contextlib.contextmanager
def locked(fd: int, timeout_seconds: float) -> Iterator[None]:
    """Holds the lock for as long as the block lasts."""
    lock(fd, timeout_seconds)
    try:
        yield
    finally:
        unlock(fd)
