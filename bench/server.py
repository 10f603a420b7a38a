"""A `runcast up` of its own for a benchmark, the load client beside it, and the machine's description.

The server's process is pinned to the first processor; its Postgres and Valkey, the client and the
benchmark itself to the second, as users' would be elsewhere.
"""

import contextlib
import json
import os
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
from typing import Protocol

import httpx
import redis
from bench.floods import give_way
from bench.machine import (
    CLIENT_CPU,
    SERVER_CPU,
    allow_many_files,
    cpu_seconds,
    machine,
    pin,
    processor,
    resident_bytes,
)

__all__ = ["Load", "Server", "load", "machine", "server"]

START_SECONDS = 60.0
CLIENT_SOURCE = Path(__file__).with_name("client.c")


@dataclass
class Server:
    """A running `runcast up`."""

    pid: int
    url: str
    token: str
    redis_url: str
    stores: list[int] = field(default_factory=list)
    """Its Postgres and Valkey."""

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.token}"})

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url)

    def cpu_seconds(self) -> float:
        """Processor time of the server's own process so far, user and system."""
        return cpu_seconds([self.pid])

    def resident_bytes(self) -> int:
        """Memory of the server's own process."""
        return resident_bytes([self.pid])


@contextlib.contextmanager
def server(**settings: str) -> Iterator[Server]:
    """`runcast up` in a directory of its own, with its defaults but without a connection limit."""
    allow_many_files()
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
                stores = stores_in(directory)
                place = found["redis_url"].rpartition("@")[2]
                # Its owner's password: the URL of the credentials is that of workers, who may only write.
                password = (directory / ".runcast/valkey/password").read_text()
                redis_url = f"redis://:{password}@{place}"
                started = Server(process.pid, found["url"], found["token"], redis_url, stores)
                pin(process.pid, SERVER_CPU)
                for store in stores:
                    pin(store, CLIENT_CPU)
                os.sched_setaffinity(0, processor(CLIENT_CPU))
                return started
        time.sleep(0.05)
    raise SystemExit((directory / "up.log").read_text())


def stores_in(directory: Path) -> list[int]:
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
    """The load client: this many open streams, and what they have received."""

    process: "subprocess.Popen[str]"
    connected: int = 0
    frames: int = 0
    bytes: int = 0
    closed: int = 0
    latency: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Of marked events, in microseconds: p50, p99, p99.9 and the most."""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            report = json.loads(line)
            with self.changed:
                self.connected, self.closed = report["connected"], report["closed"]
                self.frames, self.bytes = report["frames"], report["bytes"]
                self.latency = tuple(report.get("latency", self.latency))
                self.changed.notify_all()

    def until(self, *, connected: int = 0, frames: int = 0, seconds: float = 120.0) -> None:
        """Waits until this many streams are open and this many frames received."""
        with self.changed:
            done = self.changed.wait_for(
                lambda: self.connected >= connected and self.frames >= frames, seconds
            )
        if not done:
            raise SystemExit(f"stuck: {self.connected} connected, {self.frames} of {frames} frames")

    def forget_latency(self) -> None:
        """Begins the figures of latency again."""
        assert self.process.stdin is not None
        self.process.stdin.write("r")
        self.process.stdin.flush()

    def settle(self) -> None:
        """Waits until nothing more arrives."""
        before = -1
        while before != self.frames:
            before = self.frames
            time.sleep(0.5)


class Target(Protocol):
    """What the load client connects to: a port of this machine, and who it says that it is ("-": no one)."""

    @property
    def port(self) -> int: ...
    @property
    def token(self) -> str: ...


@contextlib.contextmanager
def load(
    one: Target,
    connections: int,
    paths: Sequence[str],
    *,
    settles: bool = True,
    stalls: bool = False,
    marked: bool = False,
    gzip: bool = False,
    gives_way: bool = False,
    interval_ms: int = 50,
    more_ports: Sequence[int] = (),
) -> Iterator[Load]:
    """`connections` streams, taking ports and `paths` in turn; all open and silent when this yields,
    unless `settles` is false: then they have just begun to connect. With `stalls` they read nothing;
    with `marked` the frames that count are the marked events, and their latency is known; with `gzip` only
    bytes count; with `gives_way` they have the lowest priority."""

    def placed() -> None:
        os.sched_setaffinity(0, processor(CLIENT_CPU))
        if gives_way:
            give_way()

    chosen = {"-s": stalls, "-m": marked, "-z": gzip}
    flags = ["-i", str(interval_ms), *(flag for flag, is_set in chosen.items() if is_set)]
    binary = compiled(CLIENT_SOURCE)
    ports = ",".join(map(str, [one.port, *more_ports]))
    command = [binary, *flags, "127.0.0.1", ports, str(connections), one.token, *paths]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=placed,
    )
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


def compiled(source: Path) -> str:
    """A C program of ours, built when its source is newer than what was built before."""
    binary = Path(tempfile.gettempdir()) / f"runcast-{source.stem}-{source.stat().st_mtime_ns}"
    if not binary.exists():
        building = binary.with_suffix(f".{os.getpid()}")
        command = ["cc", "-O3", "-march=native", "-o", str(building), str(source)]
        subprocess.run(command, check=True)
        building.replace(binary)
    return str(binary)
