"""The PgBouncer that some tests put between the services and Postgres, where there is one of 1.21 or later.

With `RUNCAST_TEST_POOLER=1` every test reaches its database through one (`make test-pooler`): in transaction
mode, by logins that begin as their roles, as `runcast migrate` makes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from runcast_api.questions import waiting
from runcast_server import db
from runcast_server.embedded import postgres
from runcast_server.process import db_roles
from tests.torture.programs import free_port
from tests.waiting import wait_for

OLDEST = (1, 21)
_LOGINS = (
    "postgres",
    "owner",
    "visitor",
    db_roles.SERVICE_LOGIN,
    db_roles.REQUESTS_LOGIN,
    db_roles.ACCOUNTS_LOGIN,
)


def program() -> str | None:
    """The program that `RUNCAST_PGBOUNCER` names, or the one on the path, if it keeps prepared statements."""
    found = os.environ.get("RUNCAST_PGBOUNCER") or shutil.which("pgbouncer", path=_PATH)
    if found is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    number = re.search(r"PgBouncer (\d+)\.(\d+)", said)
    is_enough = number is not None and (int(number[1]), int(number[2])) >= OLDEST
    return found if is_enough else None


_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


@contextlib.contextmanager
def running(server_url: str, **settings: str) -> Iterator[Callable[[str], str]]:
    """A PgBouncer before the server of this URL, for all of its databases; what turns a URL of the server
    into one of the pooler."""
    where = parse_qs(urlsplit(server_url).query)["host"][0]
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="runcast-pooler-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        chosen = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(port),
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": str(directory / "users"),
            "pool_mode": "transaction",
            "default_pool_size": "15",
            "max_client_conn": "2000",
            "max_prepared_statements": "200",
            "server_idle_timeout": "5",
        } | settings
        (directory / "users").write_text("".join(f'"{login}" ""\n' for login in _LOGINS))
        lines = "".join(f"{name} = {value}\n" for name, value in chosen.items())
        (directory / "ini").write_text(f"[databases]\n* = host={where}\n[pgbouncer]\n{lines}")
        log = directory / "log"
        with log.open("wb") as output:
            child = subprocess.Popen(
                [str(program()), *_not_as_root(), str(directory / "ini")],
                stdout=output,
                stderr=output,
            )
        try:
            wait_for(lambda: _listens(child, port), "PgBouncer", lambda: log.read_text()[-2000:])
            yield lambda url: _through(url, port)
        finally:
            child.send_signal(signal.SIGQUIT)  # SIGTERM waits for clients
            child.wait(10)


def _listens(child: subprocess.Popen[bytes], port: int) -> bool:
    if child.poll() is not None:
        raise RuntimeError(f"PgBouncer ended with {child.returncode}")
    return subprocess.run(
        [str(postgres.binary("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(port)], check=False
    ).returncode in (0, 1)


def _not_as_root() -> list[str]:
    """It refuses to; the embedded Postgres of root has a user of its own, whose socket we need."""
    if os.geteuid() != 0:
        return []
    return ["-u", pwd.getpwnam(postgres.SYSTEM_USER).pw_name]


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    return f"postgresql://{parts.username or 'postgres'}@127.0.0.1:{port}{parts.path}"


@contextlib.contextmanager
def everywhere() -> Iterator[None]:
    """All pools of this process connect through a PgBouncer, one before each server, for the block."""
    poolers: dict[str, Callable[[str], str]] = {}
    prepared: set[str] = set()
    directly = db.open_pool

    async def through(url: str, *, role: str, size: int) -> Any:
        where = urlsplit(url).query
        if "host=" not in where:  # an address where nothing is
            return await directly(url, role=role, size=size)
        if where not in poolers:
            poolers[where] = await asyncio.to_thread(stack.enter_context, running(url))
        urls = db_roles.embedded(url)
        if url not in prepared:
            await db_roles.ensure(url, urls)
            prepared.add(url)
        login = {db.REQUEST_ROLE: urls.requests, db.ACCOUNTS_ROLE: urls.accounts}.get(
            role, urls.log
        )
        return await directly(poolers[where](str(login)), role=role, size=size)

    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(db, "open_pool", through)
        patch.setattr(waiting, "open_pool", through)
        yield
