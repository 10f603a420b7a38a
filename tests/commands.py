"""Commands run to their end, in a pipe or on a terminal."""

import contextlib
import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RUNCAST = str(Path(sys.executable).parent / "runcast")
SECONDS = 60.0
ROOT = Path(__file__).parents[1]


def node() -> str:
    """The Node that the house brings along, else the machine's."""
    own = ROOT / ".venv" / "node" / "bin" / "node"
    found = str(own) if own.exists() else shutil.which("node")
    assert found, "no Node.js: `make test` brings it"
    return found


@dataclass(frozen=True)
class Ran:
    code: int
    out: bytes
    err: bytes = b""

    @property
    def text(self) -> str:
        return self.out.decode()


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, without what would lead to another server, and with this."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("RUNCAST_")}
    return {**inherited, **(more or {})}


def runcast(directory: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> Ran:
    """`runcast …` with its output in pipes."""
    ended = subprocess.run(
        [RUNCAST, *arguments],
        cwd=directory,
        env=environment(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    return Ran(ended.returncode, ended.stdout, ended.stderr)


def on_terminal(
    directory: Path,
    *arguments: str,
    types: bytes = b"",
    after: bytes = b"",
    environ: Mapping[str, str] | None = None,
) -> Ran:
    """`runcast …` on a terminal of 33 lines and 101 columns; types something once it shows `after`."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(directory)
        os.execve(RUNCAST, [RUNCAST, *arguments], environment(environ))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    shown = b""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            more = os.read(terminal, 65_536)
        except OSError:
            break
        if not more:
            break
        shown += more
        if types and after in shown:
            os.set_blocking(terminal, False)
            with contextlib.suppress(BlockingIOError):
                types = types[os.write(terminal, types) :]
    os.close(terminal)
    return Ran(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown)


def terminal_dialogue(directory: Path, first: str, *steps: tuple[bytes, bytes]) -> bytes:
    """An interactive bash on a terminal: types a line, then, once something is shown, the next.
    Answers all that was shown when the shell has ended."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(directory)
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment({"PS1": "$ "}))
    os.write(terminal, first.encode())
    shown, at, waiting = b"", 0, list(steps)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                shown += os.read(terminal, 65_536)
            except OSError:
                break
        if waiting and (found := shown.find(waiting[0][0], at)) >= 0:
            at = found + len(waiting[0][0])
            os.write(terminal, waiting.pop(0)[1])
    assert not waiting, (waiting[0], shown)
    os.waitpid(child, 0)
    os.close(terminal)
    return shown
