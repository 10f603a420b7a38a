"""What a command's outputs are connected to, so that it finds what it would find without us."""

import contextlib
import fcntl
import os
import pty
import termios
from dataclasses import dataclass

from runcast.cli import stdio, terminal_size

PIPE_BYTES = 1024 * 1024
F_SETPIPE_SZ = 1031


@dataclass(frozen=True)
class Channel:
    """Our end and the command's end of one output; `target` is where it goes on to."""

    source: str
    ours: int
    theirs: int
    target: int
    is_terminal: bool


def made(*, has_keyboard: bool, splits: bool) -> tuple[Channel | None, Channel | None]:
    """The channels of stdout and stderr. None where that is closed, and stays closed.

    Both are the same one where both lead to the same place: only so the order in which a command
    writes to them is kept. `splits` keeps them apart all the same.
    """
    stdout = None if stdio.was_closed(1) else _channel("stdout", 1, has_keyboard)
    if stdio.was_closed(2):
        return stdout, None
    if stdout is not None and not splits and _is_same_place(1, 2):
        return stdout, stdout
    return stdout, _channel("stderr", 2, has_keyboard)


def _is_same_place(one: int, other: int) -> bool:
    first, second = os.fstat(one), os.fstat(other)
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)


def _channel(source: str, target: int, has_keyboard: bool) -> Channel:
    """A terminal like `target` if that is one, else a pipe. Our end doesn't block."""
    if os.isatty(target):
        ours, theirs = pty.openpty()
        _set_up(target, theirs, translates=has_keyboard)
        terminal_size.copy(target, ours)
    else:
        ours, theirs = os.pipe()
        with contextlib.suppress(OSError):
            fcntl.fcntl(ours, F_SETPIPE_SZ, PIPE_BYTES)
    os.set_blocking(ours, False)
    return Channel(source, ours, theirs, target, os.isatty(target))


def stop_translating(terminal: int) -> None:
    """Has a terminal pass on what it is sent as it is: the reader translates."""
    with contextlib.suppress(termios.error):
        settings = termios.tcgetattr(terminal)
        settings[1] &= ~termios.OPOST
        termios.tcsetattr(terminal, termios.TCSANOW, settings)


def _set_up(target: int, terminal: int, *, translates: bool) -> None:
    """The settings of `target`. Where that goes on translating what it is sent, the new terminal must
    not do it as well."""
    with contextlib.suppress(termios.error):
        termios.tcsetattr(terminal, termios.TCSANOW, termios.tcgetattr(target))
    if not translates:
        stop_translating(terminal)
