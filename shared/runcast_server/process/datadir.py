"""The data directory of `runcast up`: one server at a time may use it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from runcast_server.errors import ExplainedError
from runcast_server.process import credentials


class InUseError(ExplainedError):
    """Another `runcast up` serves this data. The message has its address."""


@contextlib.contextmanager
def locked(data: Path) -> Iterator[None]:
    """Hold the directory, made if need be, for this process.

    The system drops the lock when the process ends, however it ends. Raises InUseError.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (data / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(_occupied(data)) from None
        os.set_inheritable(file.fileno(), False)
        yield


def _occupied(data: Path) -> str:
    known = credentials.read(data)
    if known is None or not _lives(known.pid):
        return f"another Runcast is just starting on {data}"
    return f"Runcast is already running on {data}: {known.url} (process {known.pid})"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
