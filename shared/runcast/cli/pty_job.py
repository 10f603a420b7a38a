"""A command on a terminal of its own, as a job of the shell that started us.

What is typed goes to the command's terminal as it is, Ctrl-C and Ctrl-Z included, and that terminal
makes sense of it. When the command is stopped, so are we, and our shell sees a stopped job; `fg` and
`bg` continue both. `monitor` is the command's parent and tells of it.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from runcast.cli import terminal_size
from runcast.cli.relay import Flow

MONITOR = Path(__file__).parent / "monitor.py"
STARTED_SECONDS = 30.0


class PtyJob:
    """A started command. Raises `OSError` if it can't be started."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        master: int,
        slave: int,
        stdout: int | None,
        stderr: int | None,
    ) -> None:
        self._master = master
        self._status: int | None = None
        self._told = b""
        self._is_raw = False
        self._was_continued = False
        self._before = termios.tcgetattr(0)
        self.control, theirs = socket.socketpair()
        with theirs:
            theirs.set_inheritable(True)
            self._monitor = subprocess.Popen(
                [sys.executable, "-IS", str(MONITOR), str(theirs.fileno()), *argv],
                env=dict(env),
                stdin=slave,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                close_fds=False,
            )
        self.pid = self._started(argv[0])
        self.keyboard = Flow(0, master, keeps_inlet=True)
        self._initial = termios.tcgetattr(master)

    def _started(self, command: str) -> int:
        self.control.settimeout(STARTED_SECONDS)
        line = b""
        while not line.endswith(b"\n"):
            more = self.control.recv(1)
            if not more:
                raise OSError(0, "its terminal could not be set up", command)
            line += more
        self.control.setblocking(False)
        if line.startswith(b"F"):
            self._monitor.wait()
            raise OSError(int(line[1:]), os.strerror(int(line[1:])), command)
        return int(line[1:])

    def poll(self) -> int | None:
        """The command's wait status once it has ended."""
        return self._status

    def begin(self) -> None:
        """Takes the keyboard."""
        signal.signal(signal.SIGCONT, self._continued)
        self._set_raw()

    def end(self) -> None:
        """Gives the terminal back: as the command left its own where it ended well (`stty` does its
        work there), else as it was."""
        signal.signal(signal.SIGCONT, signal.SIG_DFL)
        if self._status == 0:
            with contextlib.suppress(termios.error):
                final = termios.tcgetattr(self._master)
                self._before = self._before if final == self._initial else final
        self._set_cooked()
        self.control.close()
        self._monitor.wait()

    def send(self, number: int, *, to_group: bool = False) -> None:
        """Sends the command a signal; one that is stopped gets to see it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            (os.killpg if to_group else os.kill)(self.pid, number)

    def attend(self, ready: set[int]) -> None:
        """Hears the monitor, and takes the keyboard again after `fg`."""
        if self.control.fileno() in ready:
            self._hear()
        if self._was_continued:
            self._was_continued = False
            self._resume()

    def _hear(self) -> None:
        try:
            more = self.control.recv(4_096)
        except BlockingIOError:
            return
        if not more and self._status is None:
            self._status = signal.SIGKILL  # the monitor itself was killed
        *lines, self._told = (self._told + more).split(b"\n")
        for line in lines:
            if line.startswith(b"S"):
                self._suspend(int(line[1:]))
            elif line.startswith(b"E"):
                self._status = int(line[1:])

    def _suspend(self, number: int) -> None:
        """The command was stopped: so are we, with our whole job, as the shell expects."""
        from_background = number in (signal.SIGTTIN, signal.SIGTTOU)
        if not (from_background and is_foreground()):
            self._set_cooked()
            before = time.monotonic()
            os.killpg(os.getpgrp(), number if from_background else signal.SIGTSTP)
            if from_background and time.monotonic() - before < 0.01:
                time.sleep(0.1)  # no one stopped us: an orphaned group; don't spin
        self._resume()

    def _resume(self) -> None:
        self._was_continued = False
        if is_foreground():
            self._set_raw()
            terminal_size.copy(1, self._master)
            self._order(b"f")
        else:
            self._order(b"b")

    def _order(self, order: bytes) -> None:
        with contextlib.suppress(OSError):
            self.control.send(order)

    def _continued(self, _: int, __: FrameType | None) -> None:
        self._was_continued = True

    def _set_raw(self) -> None:
        if not self._is_raw:
            self._before = termios.tcgetattr(0)
            with contextlib.suppress(termios.error):
                tty.setraw(0, termios.TCSADRAIN)  # what was typed ahead stays
                self._is_raw = True

    def _set_cooked(self) -> None:
        if not self._is_raw:
            return
        self._is_raw = False
        former = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        with contextlib.suppress(termios.error):
            termios.tcsetattr(0, termios.TCSADRAIN, self._before)
        signal.signal(signal.SIGTTOU, former)


def is_foreground() -> bool:
    """Whether stdin is our controlling terminal, and ours to read."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
