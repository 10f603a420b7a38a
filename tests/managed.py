"""A Postgres as managed services give one: its owner of a database is no superuser."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runcast_server import embedded
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
