"""A Postgres as managed services give one: its owner of a database is no superuser."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runcast_server import embedded
from runcast_server.embedded.postgres import binary
from runcast_server.process import db_roles
from tests.conftest import run_sql
from tests.servers import FAST_POSTGRES
from tests.urls import in_database

OWNER = "owner"


@dataclass(frozen=True)
class Managed:
    """A server of its own with an empty database of `owner`'s."""

    server: embedded.Postgres
    owner_url: str


@contextlib.contextmanager
def server(data: Path, extra: Mapping[str, str] | None = None) -> Iterator[Managed]:
    """Runs one for the block."""
    postgres = embedded.Postgres(data, extra={**FAST_POSTGRES, **(extra or {})})
    postgres.start()
    try:
        root = postgres.url_of("postgres")
        run_sql(root, f"CREATE ROLE {OWNER} LOGIN NOSUPERUSER CREATEROLE CREATEDB")
        run_sql(root, f"CREATE DATABASE runcast OWNER {OWNER}")
        run_sql(root, "ALTER DATABASE runcast SET TimeZone = 'Europe/Berlin'")
        yield Managed(postgres, db_roles.as_login(postgres.url, OWNER))
    finally:
        postgres.stop(5)


def superuser(url: str, database: str = "runcast") -> str:
    """The same server as its superuser."""
    return in_database(db_roles.as_login(url, "postgres"), database)


@contextlib.contextmanager
def standby(primary: Managed, data: Path) -> Iterator[tuple[embedded.Postgres, str]]:
    """A streaming standby of the server, and the owner's URL of it."""
    owner = primary.server.home.stat()
    os.chown(data, owner.st_uid, owner.st_gid)
    replica = embedded.Postgres(data, extra=FAST_POSTGRES)
    copy = ["pg_basebackup", "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
    copy += [f"--pgdata={replica.home}", f"--dbname={primary.server.url_of('postgres')}"]
    subprocess.run(
        [binary(copy[0]), *copy[1:]],
        check=True,
        user=owner.st_uid if os.geteuid() == 0 else None,
        group=owner.st_gid if os.geteuid() == 0 else None,
    )
    (replica.home / ".s.PGSQL.5432.lock").unlink()  # of the primary's socket, which lies there too
    replica.start()
    try:
        yield replica, db_roles.as_login(replica.url, OWNER)
    finally:
        replica.stop(5)
