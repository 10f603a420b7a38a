"""A command as a process: how it is started, signalled and seen to end."""

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from runcast.cli.channels import Channel
from runcast.cli.pty_job import PtyJob


class Job(Protocol):
    """A command that was started."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Its wait status, once it has ended."""

    def send(self, number: int, *, to_group: bool = False) -> None: ...


class DirectJob:
    """A command that is our own child, without a terminal that we made."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        stdout: int | None,
        stderr: int | None,
    ) -> None:
        self.shares_group = _has_terminal()
        self._process = subprocess.Popen(
            argv,
            env=dict(env),
            stdout=stdout,
            stderr=stderr,
            close_fds=False,
            process_group=None if self.shares_group else 0,
        )
        self.pid = self._process.pid

    def poll(self) -> int | None:
        code = self._process.poll()
        return None if code is None else -code if code < 0 else code << 8

    def send(self, number: int, *, to_group: bool = False) -> None:
        """`to_group`: also to the processes that it started, as far as they can be told."""
        if to_group and not self.shares_group:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
            return
        for pid in (*_descendants(self.pid),) if to_group else ():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        with contextlib.suppress(PermissionError):
            self._process.send_signal(number)


def start(
    argv: Sequence[str],
    env: Mapping[str, str],
    stdout: Channel | None,
    stderr: Channel | None,
    *,
    has_keyboard: bool,
) -> Job:
    """Starts a command. Raises `OSError` if it can't be started."""
    out = stdout.theirs if stdout is not None else None
    err = stderr.theirs if stderr is not None else None

    def started(argv: Sequence[str], env: Mapping[str, str]) -> Job:
        if has_keyboard and stdout is not None:
            return PtyJob(argv, env, stdout.ours, stdout.theirs, out, err)
        return DirectJob(argv, env, out, err)

    try:
        return started(argv, env)
    except OSError as error:
        if error.errno == errno.E2BIG:
            # The command alone would fit: what we add to its environment is less worth than it.
            return started(argv, os.environ)
        if error.errno != errno.ENOEXEC:
            raise
        # A script without `#!`, which shells run by themselves (POSIX, exec).
        return started(["/bin/sh", shutil.which(argv[0]) or argv[0], *argv[1:]], env)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _descendants(pid: int) -> Iterator[int]:
    """The processes that one has started, and theirs, where /proc tells."""
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from _descendants(int(child))


def explain(error: OSError, command: str) -> tuple[str, int]:
    """What to say, and the exit code, when a command can't be started."""
    if isinstance(error, FileNotFoundError):
        return f"{command}: command not found", 127
    return f"{command}: {error.strerror or error}", 126
