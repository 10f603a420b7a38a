"""A `runcast up` of its own for a benchmark, the load client beside it, and the machine's description.

The server's process is pinned to the first processor; its Postgres and Valkey, the client and the
benchmark itself to the second, as users' would be elsewhere.
"""

import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import redis

START_SECONDS = 60.0
CLIENT_SOURCE = Path(__file__).with_name("client.c")
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """A running `runcast up`."""

    pid: int
    url: str
    token: str
    redis_url: str

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.token}"})

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url)

    def cpu_seconds(self) -> float:
        """Processor time of the server's own process so far, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def resident_bytes(self) -> int:
        """Memory of the server's own process."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def server(**settings: str) -> Iterator[Server]:
    """`runcast up` in a directory of its own, with its defaults but without a connection limit."""
    directory = Path(tempfile.mkdtemp(prefix="runcast-bench-"))
    environment = os.environ | {
        "RUNCAST_SSE_MAX_CONNECTIONS_PER_USER": "0",
        "RUNCAST_SSE_MAX_CONNECTIONS_PER_KEY": "0",
        **settings,
    }
    command = [str(Path(sys.executable).with_name("runcast")), "up", "--port", "0"]
    with (directory / "up.log").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=directory, env=environment, stdout=output, stderr=output
        )
    try:
        yield _started(process, directory)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        shutil.rmtree(directory, ignore_errors=True)


def _started(process: "subprocess.Popen[bytes]", directory: Path) -> Server:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, ValueError, KeyError, httpx.TransportError):
            found = json.loads((directory / ".runcast/credentials.json").read_text())
            if httpx.get(f"{found['url']}/ready").status_code == 200:
                started = Server(process.pid, found["url"], found["token"], found["redis_url"])
                _pin(process.pid, 0)
                for backing in _embedded(directory):
                    _pin(backing, 1)
                os.sched_setaffinity(0, _cpu(1))
                return started
        time.sleep(0.05)
    raise SystemExit((directory / "up.log").read_text())


def _cpu(number: int) -> set[int]:
    return {number % (os.cpu_count() or 1)}


def _pin(pid: int, number: int) -> None:
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), _cpu(number))


def _embedded(directory: Path) -> list[int]:
    """The Postgres and Valkey that work in this directory; their later children inherit the pinning."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                if str(directory).encode() in command and b"runcast\0up" not in command:
                    found.append(int(entry.name))
    return found


@dataclass
class Load:
    """The load client: so many open streams, and what they have received."""

    process: "subprocess.Popen[str]"
    connected: int = 0
    frames: int = 0
    bytes: int = 0
    closed: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            report = json.loads(line)
            with self.changed:
                self.connected, self.closed = report["connected"], report["closed"]
                self.frames, self.bytes = report["frames"], report["bytes"]
                self.changed.notify_all()

    def until(self, *, connected: int = 0, frames: int = 0, seconds: float = 120.0) -> None:
        """Waits until so many streams are open and so many frames received."""
        with self.changed:
            done = self.changed.wait_for(
                lambda: self.connected >= connected and self.frames >= frames, seconds
            )
        if not done:
            raise SystemExit(f"stuck: {self.connected} connected, {self.frames} of {frames} frames")

    def settle(self) -> None:
        """Waits until nothing more arrives."""
        before = -1
        while before != self.frames:
            before = self.frames
            time.sleep(0.5)


@contextlib.contextmanager
def load(
    one: Server,
    connections: int,
    paths: Sequence[str],
    *,
    settles: bool = True,
    stalls: bool = False,
) -> Iterator[Load]:
    """`connections` streams, taking `paths` in turn; all open and silent when this yields, unless
    `settles` is false: then they have just begun to connect. With `stalls` they read nothing."""
    binary = _client()
    flags = ["-s"] if stalls else []
    command = [binary, *flags, "127.0.0.1", str(one.port), str(connections), one.token, *paths]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    started = Load(process)
    reader = threading.Thread(target=started.read, daemon=True)
    reader.start()
    try:
        if settles:
            started.until(connected=connections)
            started.settle()
        yield started
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(20)
        reader.join(5)


def _client() -> str:
    binary = Path(tempfile.gettempdir()) / f"runcast-client-{CLIENT_SOURCE.stat().st_mtime_ns}"
    if not binary.exists():
        command = ["cc", "-O3", "-march=native", "-o", str(binary), str(CLIENT_SOURCE)]
        subprocess.run(command, check=True)
    return str(binary)


def machine() -> str:
    """What the figures were taken on."""
    model = "unknown processor"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    gigabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"{os.cpu_count()} x {model}, {gigabytes:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )
