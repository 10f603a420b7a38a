"""The kinds of stdio: what a shell, a supervisor or a terminal gives a command, and what comes back."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.transparency.programs import INPUT

SECONDS = 60.0
READY = b"ready>"


@dataclass(frozen=True)
class Seen:
    """What an observer sees of a command: its code as a shell tells it, and its outputs."""

    code: int
    out: bytes
    err: bytes = b""


@dataclass(frozen=True)
class Start:
    """A command to be run somewhere."""

    argv: Sequence[str]
    directory: Path
    environ: Mapping[str, str]
    reads: bool


Kind = Callable[[Start], Seen]


def pipes(start: Start) -> Seen:
    ended = subprocess.run(
        start.argv,
        cwd=start.directory,
        env=start.environ,
        input=INPUT,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    return Seen(_code(ended.returncode), ended.stdout, ended.stderr)


def merged_pipe(start: Start) -> Seen:
    ended = subprocess.run(
        start.argv,
        cwd=start.directory,
        env=start.environ,
        input=INPUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        check=False,
    )
    return Seen(_code(ended.returncode), ended.stdout)


def files(start: Start) -> Seen:
    return _with_files(start, "> out 2> err")


def one_file(start: Start) -> Seen:
    return _with_files(start, ">> out 2>&1")


def nowhere(start: Start) -> Seen:
    return _shell(start, "< /dev/null > /dev/null 2>&1")


def no_stdin(start: Start) -> Seen:
    return _shell(start, "<&- > out 2> err")


def no_stdout(start: Start) -> Seen:
    return _shell(start, "< in >&- 2> err")


def no_stderr(start: Start) -> Seen:
    return _shell(start, "< in > out 2>&-")


def all_closed(start: Start) -> Seen:
    return _shell(start, "<&- >&- 2>&-")


def slow_nonblocking(start: Start) -> Seen:
    """stdout is a pipe that somebody made non-blocking, and its reader takes its time."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = _popen(start, stdin=subprocess.PIPE, stdout=writer)
    os.close(writer)
    return _collect(process, reader, 2_000)


def sockets(start: Start) -> Seen:
    """stdin and stdout are sockets, as inetd and node give them."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = _popen(start, stdin=subprocess.PIPE, stdout=theirs.fileno())
        theirs.close()
        ours.setblocking(False)
        return _collect(process, ours.detach())


def terminal(start: Start) -> Seen:
    return _on_terminal(start, "exec")


def terminal_but_stdin(start: Start) -> Seen:
    return _on_terminal(start, "exec < in;")


def terminal_but_stdout(start: Start) -> Seen:
    seen = _on_terminal(start, "exec > out;")
    return Seen(seen.code, seen.out, (start.directory / "out").read_bytes())


def terminal_in_background(start: Start) -> Seen:
    """As a job in the background of an interactive shell; its input is a file. What the shell itself
    says of the job's end is left out: it tells a signal from the code that stands for it."""
    seen = _on_terminal(start, "background")
    lines = seen.out.splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith((b"[1]", b"bash: line 1:"))]
    return Seen(seen.code, b"".join(kept))


KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        pipes, merged_pipe, files, one_file, nowhere, no_stdin, no_stdout, no_stderr, all_closed,
        slow_nonblocking, sockets, terminal, terminal_but_stdin, terminal_but_stdout,
        terminal_in_background,
    )
}  # fmt: skip


def _code(returncode: int) -> int:
    return 128 - returncode if returncode < 0 else returncode


def _popen(start: Start, **stdio: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        start.argv, cwd=start.directory, env=start.environ, stderr=subprocess.PIPE, **stdio
    )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(INPUT)
        process.stdin.close()
    return process


def _with_files(start: Start, redirections: str) -> Seen:
    return _shell(start, f"< in {redirections}")


def _shell(start: Start, redirections: str) -> Seen:
    (start.directory / "in").write_bytes(INPUT)
    ended = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirections}', "sh", *start.argv],
        cwd=start.directory,
        env=start.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=SECONDS,
        check=False,
    )
    _settle(start.directory)
    found = [start.directory / name for name in ("out", "err")]
    return Seen(_code(ended.returncode), *(p.read_bytes() if p.exists() else b"" for p in found))


def _settle(directory: Path) -> None:
    """Waits until nobody has the outputs open: a process that was left behind may still write."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and any(_holders(directory)):
        time.sleep(0.02)


def _holders(directory: Path) -> list[str]:
    wanted = {str(directory / "out"), str(directory / "err")}
    found = []
    for pid in (name for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
            found += [pid for entry in entries if os.readlink(entry.path) in wanted]
    return found


def _collect(process: subprocess.Popen[bytes], reader: int, size: int = 65_536) -> Seen:
    assert process.stderr is not None
    errors: list[bytes] = []
    listening = threading.Thread(target=lambda: errors.append(process.stderr.read()))
    listening.start()
    out = b""
    while select.select([reader], [], [], SECONDS)[0]:
        data = os.read(reader, size)
        if not data:
            break
        out += data
    os.close(reader)
    listening.join(SECONDS)
    with process:
        return Seen(_code(process.wait(SECONDS)), out, errors[0])


PREFIXES = {
    "exec": 'exec "$@"',
    "exec < in;": 'exec "$@" < in',
    "exec > out;": 'exec "$@" > out',
    "background": 'set -m; "$@" < in & wait $!',
}
GREETED = 'printf "ready>" >/dev/tty; exec "$@"'


def _on_terminal(start: Start, how: str) -> Seen:
    """On a terminal of 24 lines and 80 columns, typing the input where it is read from there."""
    (start.directory / "in").write_bytes(INPUT)
    argv: Sequence[str] = start.argv
    types = start.reads and how in ("exec", "exec > out;")
    if types:
        argv = _greeting(argv)
    child, master = pty.fork()
    if child == 0:
        os.chdir(start.directory)
        os.closerange(3, 256)
        for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)  # as a login shell has them
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.execvpe("bash", ["bash", "-c", PREFIXES[how], "bash", *argv], dict(start.environ))
    shown, typed = b"", INPUT + b"\x04"
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if not select.select([master], [], [], 0.5)[0]:
            continue
        try:
            more = os.read(master, 65_536)
        except OSError:
            break
        shown += more
        if types and READY in shown and typed:
            os.write(master, typed)
            typed = b""
    else:
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(master)
    _settle(start.directory)
    return Seen(_code(code), shown)


def _greeting(argv: Sequence[str]) -> Sequence[str]:
    """The command behind a greeting, inside of whatever runs it, so that typing begins in time."""
    if "--" in argv[:8] and "exec" in argv[:8]:
        at = list(argv).index("--") + 1
        return [*argv[:at], "sh", "-c", GREETED, "sh", *argv[at:]]
    return ["sh", "-c", GREETED, "sh", *argv]
