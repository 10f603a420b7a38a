"""stdin, stdout and stderr as they were given to us: closed, in another encoding, without a reader."""

import contextlib
import errno
import io
import os
import sys

STANDARD = (0, 1, 2)


def prepare() -> None:
    """Opens /dev/null where a standard descriptor is closed, and makes text printable anywhere.

    Without the first, the next file that is opened (a run's spool) becomes the stdout that we write
    to. The descriptor is not inherited: for a command that we start it stays closed. Without the
    second, one character that the terminal's encoding lacks ends a log in its middle.
    """
    for number in STANDARD:
        with contextlib.suppress(OSError):
            if not _is_open(number):
                os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def was_closed(number: int) -> bool:
    """Whether a standard descriptor was closed when we were started."""
    return not os.get_inheritable(number)


def silence(*numbers: int) -> None:
    """Sends what is still to come to /dev/null: its reader is gone, and Python flushes at exit."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for number in numbers:
        os.dup2(devnull, number, inheritable=True)
    os.close(devnull)


def is_reader_gone(error: BaseException) -> bool:
    """Whether the error says that no one reads our output any more."""
    return isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.ESHUTDOWN)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
