"""Locks between processes, held on an open file and gone with the process that held them."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager


def try_lock(fd: int) -> bool:
    """Takes the lock if nobody holds it. It belongs to the open file: a forked child shares it with
    its parent, and has to open the file anew to have one of its own."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(fd: int, timeout_seconds: float) -> Iterator[None]:
    """Holds the lock, waiting for it at most so long; raises `TimeoutError`.

    Polled, because a blocking `flock` has no time-out and would stop the host program for as
    long as a stopped process holds the lock.
    """
    deadline = time.monotonic() + timeout_seconds
    pause = 0.00005
    while not try_lock(fd):
        if time.monotonic() > deadline:
            raise TimeoutError("another process holds the lock")
        time.sleep(pause)
        pause = min(pause * 2, 0.01)
    try:
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)
