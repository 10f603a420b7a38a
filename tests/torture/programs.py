"""The real processes: services, Postgres, Valkey. Each is started, signalled and ended by its own id."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import redis

from runcast_server import embedded
from runcast_server.embedded import valkey

START_SECONDS = 90.0
FULL_BYTES = 1024 * 1024
"""Less than a segment of the write-ahead log, without which Postgres can't go on."""
CLOCK = Path(__file__).parent / "clock"
"""What a Python finds here makes its wall clock one that can be set."""


def wait(condition: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Polls until the condition holds. Raises `TimeoutError` naming what didn't come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} within {seconds:g} s")
        time.sleep(0.02)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def state_of(pid: int) -> str:
    """The letter that the kernel shows: R, S, T (stopped), Z (dead) …; empty for no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children_of(pid: int) -> list[int]:
    """The processes that this one started and that still live."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == pid and fields[0] != "Z":
                    found.append(int(entry.name))
    return found


@dataclass
class Service:
    """One process of the product: `runcast api`, `hub` or `tailer`, on a port that stays the same."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    port: int
    clock: Path
    """Holds the seconds by which its wall clock is off (`clock/sitecustomize.py`)."""
    child: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    @property
    def is_alive(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def start(self) -> None:
        """Starts it; returns at once."""
        self.starts += 1
        if not self.clock.exists():
            self.set_clock(0.0)
        with self.log.open("ab") as output:
            self.child = subprocess.Popen(
                self.command,
                env={**os.environ, **self.environment, **self._clock_environment()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def listens(self) -> bool:
        """Whether connections are taken."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        if not self.is_alive:
            raise RuntimeError(f"{self.name} ended: {self.log.read_text()[-2000:]}")
        return False

    def _clock_environment(self) -> dict[str, str]:
        places = [str(CLOCK), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {"PYTHONPATH": os.pathsep.join(places), "TORTURE_CLOCK": str(self.clock)}

    def set_clock(self, seconds: float) -> None:
        """From now on, and after a restart, its wall clock is so many seconds off."""
        with self.clock.open("r+b" if self.clock.exists() else "wb") as file:
            file.write(struct.pack("d", seconds))

    def signal(self, number: signal.Signals) -> None:
        if self.is_alive:
            os.kill(self.pid, number)

    def kill(self) -> int:
        """`kill -9`; answers the exit code."""
        assert self.child is not None
        self.child.kill()
        return self.child.wait()

    def terminate(self, seconds: float = 15.0) -> int:
        """SIGTERM; answers the exit code. Raises `subprocess.TimeoutExpired` for one that hangs."""
        assert self.child is not None
        self.child.terminate()
        return self.child.wait(seconds)

    def end(self) -> None:
        """At the end of everything, whatever state it is in."""
        if self.is_alive:
            self.signal(signal.SIGCONT)
            try:
                self.terminate()
            except subprocess.TimeoutExpired:
                self.kill()


def service(
    name: str,
    root: Path,
    environment: Mapping[str, str],
    *,
    entry: Sequence[str] = ("-m", "tests.torture.entry"),
) -> Service:
    """A service whose name begins with its command: `hub-1` is a `runcast hub`."""
    port = free_port()
    command = [sys.executable, *entry, name.partition("-")[0]]
    return Service(
        name,
        command,
        {**environment, "RUNCAST_PORT": str(port)},
        root / f"{name}.log",
        port,
        root / f"{name}.clock",
    )


class Postgres:
    """An embedded Postgres that can be stopped in its tracks."""

    def __init__(self, root: Path, *, max_connections: int = 120) -> None:
        settings = {
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": str(max_connections),
            "superuser_reserved_connections": "3",
        }
        self._root = root
        self._server = embedded.Postgres(root, extra=settings)

    @property
    def url(self) -> str:
        return self._server.url_of("runcast")

    @property
    def root_url(self) -> str:
        return self._server.url_of("postgres")

    @property
    def pid(self) -> int:
        return int((self._server.home / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        self._server.start()

    def stop(self, seconds: float = 10.0) -> None:
        self._server.stop(seconds)

    def pause(self) -> list[int]:
        """SIGSTOP for the server and all of its backends; answers their ids."""
        pids = [self.pid]
        os.kill(self.pid, signal.SIGSTOP)
        for child in children_of(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGSTOP)
                pids.append(child)
        return pids

    def resume(self, pids: Sequence[int]) -> None:
        for pid in reversed(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def fill_disk(self) -> None:
        """From now on no file of it grows beyond `FULL_BYTES`."""
        self._limit_files(str(FULL_BYTES))

    def empty_disk(self) -> None:
        """There is room again; starts it where it has ended meanwhile."""
        if self._server.alive():
            self._limit_files("unlimited")
        else:
            self._server.stop(10.0)
            self._server.start()

    def _limit_files(self, size: str) -> None:
        """By a process of Postgres's own account: limits of others' processes may be out of our reach."""
        home = self._server.home.stat()
        is_ours = home.st_uid == os.getuid()
        for pid in (self.pid, *children_of(self.pid)):
            subprocess.run(
                ["prlimit", f"--pid={pid}", f"--fsize={size}:"],
                stderr=subprocess.DEVNULL,  # a backend that has just ended
                check=False,
                user=None if is_ours else home.st_uid,
                group=None if is_ours else home.st_gid,
            )

    def crash(self) -> int:
        """Kills one backend, upon which Postgres ends all of them and recovers; answers which."""
        for child in children_of(self.pid):
            title = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"runcast" in title:
                os.kill(child, signal.SIGKILL)
                return child
        raise RuntimeError("nobody is connected to Postgres")


@dataclass
class RedisNode:
    """One Valkey with append-only persistence."""

    directory: Path
    port: int
    password: str
    child: subprocess.Popen[bytes] | None = None
    settings: dict[str, str] = field(default_factory=dict)

    def start(self, *, replica_of: int | None = None, is_empty: bool = False) -> None:
        """Starts it and waits until it answers."""
        if is_empty:
            subprocess.run(["rm", "-rf", self.directory], check=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        chosen = {
            **valkey.SETTINGS,
            "dir": str(self.directory),
            "port": str(self.port),
            "requirepass": self.password,
            "masterauth": self.password,
            "repl-diskless-sync-delay": "0",
            **self.settings,
        }
        lines = [f"{name} {quoted(value)}\n" for name, value in chosen.items()]
        if replica_of is not None:
            lines.append(f"replicaof 127.0.0.1 {replica_of}\n")
        configuration = self.directory / "valkey.conf"
        configuration.write_text("".join(lines))
        with (self.directory / "log").open("ab") as output:
            self.child = subprocess.Popen(
                [valkey.binary(), configuration],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        wait(self.answers, f"Valkey on port {self.port} answers")

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    @contextlib.contextmanager
    def client(self, seconds: float = 5.0):  # type: ignore[no-untyped-def]
        """A client that never repeats a command."""
        with redis.Redis.from_url(
            self.url, retry=None, socket_timeout=seconds, socket_connect_timeout=seconds
        ) as client:
            yield client

    def answers(self) -> bool:
        try:
            with self.client(1.0) as client:
                return bool(client.ping())
        except redis.RedisError:
            if self.child is not None and self.child.poll() is not None:
                raise RuntimeError((self.directory / "log").read_text()[-2000:]) from None
            return False

    def kill(self) -> int:
        assert self.child is not None
        self.child.kill()
        return self.child.wait()

    def stop(self) -> int:
        """A clean shutdown, which writes everything out."""
        assert self.child is not None
        self.child.terminate()
        return self.child.wait(15)

    def end(self) -> None:
        if self.child is not None and self.child.poll() is None:
            os.kill(self.pid, signal.SIGCONT)
            self.kill()


class RedisPair:
    """A primary and its replica. Clients know one port, which belongs to whoever is the primary."""

    def __init__(self, root: Path) -> None:
        password = secrets.token_urlsafe(16)
        self.primary = RedisNode(root / "redis-a", free_port(), password)
        self.replica = RedisNode(root / "redis-b", free_port(), password)
        self.url = self.primary.url

    def start(self) -> None:
        self.primary.start(is_empty=True)
        self.replica.start(replica_of=self.primary.port, is_empty=True)

    def is_in_step(self) -> bool:
        """Whether the replica has the primary's data."""
        with self.replica.client() as client:
            return bool(client.info("replication").get("master_link_status") == "up")

    def fail_over(self, lag_seconds: float) -> tuple[int, int]:
        """Kills the primary; the replica, cut off `lag_seconds` before that, takes its place.

        Answers how far the two were apart, in bytes of the replication log: what was lost.
        """
        wait(self.is_in_step, "the replica is in step")
        with self.replica.client() as client:
            client.replicaof("NO", "ONE")
            had = int(client.info("replication")["master_repl_offset"])
        time.sleep(lag_seconds)
        with self.primary.client() as client:
            wrote = int(client.info("replication")["master_repl_offset"])
        self.primary.kill()
        self._take_over()
        return had, wrote

    def swap_roles(self) -> None:
        """A planned failover: the replica takes over, and the old primary lives on as its replica, with every
        connection to it open."""
        wait(self.is_in_step, "the replica is in step")
        old, new = self.primary, self.replica
        with new.client() as client, old.client() as other:
            client.replicaof("NO", "ONE")
            other.replicaof("127.0.0.1", new.port)
        self.primary, self.replica = new, old

    def _take_over(self) -> None:
        old, new = self.primary, self.replica
        public = old.port
        with new.client() as client:
            old.port = new.port
            client.config_set("port", public)
        new.port = public
        self.primary, self.replica = new, old
        wait(new.answers, "the new primary answers")
        old.start(replica_of=public, is_empty=True)

    def end(self) -> None:
        for node in (self.primary, self.replica):
            node.end()


def quoted(value: str) -> str:
    return f'"{value}"' if " " in value else value
