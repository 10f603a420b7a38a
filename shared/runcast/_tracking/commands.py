"""Commands that a run executes: their output becomes lines of the run, and they learn which run it is."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from runcast._support.terminal import LineSplitter

Take = Callable[[str, list[str]], object]

READ_BYTES = 64 * 1024
CHECK_SECONDS = 0.1
KILL_AFTER_SECONDS = 10.0
"""What has been asked to stop is made to after this time."""


def execute(
    command: Sequence[str],
    take: Take,
    *,
    environ: Mapping[str, str],
    cwd: str | os.PathLike[str] | None,
    is_cancelled: Callable[[], bool],
    timeout: float | None,
) -> int:
    """Runs a command to its end, with nothing to read; answers its exit code, 128 + n after signal n.

    It and what it started are asked to stop when the run is cancelled or the time is over, and made to
    after 10 s. Raises `OSError` if it can't be started, `RuntimeError` where there are no threads that could
    read its output (it is stopped then), and what `float` does for a `timeout` that is no number: before
    the start, for a command shouldn't be killed for that.
    """
    limit = None if timeout is None else float(timeout)
    process = subprocess.Popen(
        [os.fspath(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environ),
        cwd=cwd,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    readers = [
        threading.Thread(
            target=_read, args=(stream, name, take), name=f"runcast-{name}", daemon=True
        )
        for name, stream in (("stdout", process.stdout), ("stderr", process.stderr))
    ]
    try:
        for reader in readers:
            reader.start()
        code = _wait(process, is_cancelled, limit)
    except BaseException:  # also where no thread is to be had: no one would read what it writes
        _stop(process, by_force=True)
        process.wait()
        raise
    for reader in readers:
        # A daemon that the command left behind may hold the pipe for ever.
        reader.join(1.0)
    return 128 - code if code < 0 else code


def _stop(process: subprocess.Popen[bytes], *, by_force: bool = False) -> None:
    """Stops the command and what it started: they have a group of their own, so nothing else does."""
    if not _lives(process):
        return
    try:
        os.killpg(process.pid, signal.SIGKILL if by_force else signal.SIGTERM)
    except ProcessLookupError:
        pass
    except (AttributeError, PermissionError):  # Windows; a group of another user's processes
        if by_force:
            process.kill()
        else:
            process.terminate()


def _lives(process: subprocess.Popen[bytes]) -> bool:
    """Whether the command lives, or anything that it started and that is still in its group."""
    if process.poll() is None:
        return True
    try:
        os.killpg(process.pid, 0)
    except (AttributeError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _wait(
    process: subprocess.Popen[bytes], is_cancelled: Callable[[], bool], timeout: float | None
) -> int:
    waited = 0.0
    while True:
        try:
            return process.wait(CHECK_SECONDS)
        except subprocess.TimeoutExpired:
            waited += CHECK_SECONDS
        if is_cancelled() or (timeout is not None and waited >= timeout):
            break
    _stop(process)
    deadline = time.monotonic() + KILL_AFTER_SECONDS
    while _lives(process) and time.monotonic() < deadline:
        time.sleep(CHECK_SECONDS)
    _stop(process, by_force=True)
    return process.wait()


def _read(stream: IO[bytes], name: str, take: Take) -> None:
    splitter = LineSplitter()
    with stream:
        while data := os.read(stream.fileno(), READ_BYTES):
            if lines := splitter.feed(data):
                take(name, lines)
    if lines := splitter.finish():
        take(name, lines)
