"""What must be true of Postgres, and of the logins by which the servers reach it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import asyncpg

from runcast.cli.doctor_report import OK, PROBLEM, WARNING, Finding
from runcast_server import db, db_health, embedded, outages, postgres_hosts, unfinished_restore
from runcast_server.db import Connection
from runcast_server.process import db_roles, migrate
from runcast_server.settings import ServerSettings

CONNECT_SECONDS = 5.0
TRIES = 3
BEHIND_BYTES = 64 * 1024 * 1024
PARTITIONED = ("segments", "runtime_events")
_MIGRATE = "run `runcast migrate` as the database's owner"
_MORE = "give it a default_pool_size of at least 5 for each login"
_MIXED_UP = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
_UNREACHABLE = (*outages.POSTGRES, asyncpg.PostgresError, ValueError)

_ROOM = """
SELECT least(
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - current_setting('reserved_connections')::int,
    nullif((SELECT datconnlimit FROM pg_database WHERE datname = current_database()), -1),
    nullif((SELECT rolconnlimit FROM pg_roles WHERE rolname = session_user), -1))
"""
_BEHIND = """
SELECT coalesce(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), 0)::bigint
"""
_ROLE = """
SELECT current_user AS acting, session_user AS login, r.oid IS NOT NULL AS exists,
       CASE WHEN r.oid IS NULL THEN false ELSE pg_has_role(session_user, r.oid, 'SET') END AS may_become
FROM (SELECT $1::name AS name) n LEFT JOIN pg_roles r ON r.rolname = n.name
"""


@dataclass(frozen=True)
class Login:
    """A URL of the settings and the role that its connections act as."""

    setting: str
    url: str
    role: str


def logins(read: ServerSettings) -> list[Login]:
    """The logins of a process with these settings."""
    settings = read.postgres
    if settings.database_url is None:
        urls = db_roles.embedded(embedded.Postgres(read.process.data).url)
        names = dict.fromkeys(("log", "requests", "accounts"), "the embedded server")
    else:
        urls = settings.urls
        names = {
            "log": "DATABASE_URL",
            "requests": "DATABASE_REQUESTS_URL" if urls.requests else "DATABASE_URL",
            "accounts": "DATABASE_ACCOUNTS_URL" if urls.accounts else "DATABASE_URL",
        }
    return [
        Login(names["log"], urls.log, db.LOG_ROLE),
        Login(names["requests"], urls.requests or urls.log, db.REQUEST_ROLE),
        Login(names["accounts"], urls.accounts or urls.log, db.ACCOUNTS_ROLE),
    ]


async def check(read: ServerSettings) -> AsyncIterator[Finding]:
    """Looks at the server first, then at each login."""
    every = logins(read)
    try:
        async with _connected(every[0].url) as connection:
            yield Finding("postgres", OK, f"{postgres_hosts.place(every[0].url)} takes connections")
            for look in _LOOKS:
                yield await look(connection)
            yield await _room(connection, read.postgres.database_pool_size)
    except _UNREACHABLE as error:
        place = postgres_hosts.place(every[0].url)
        text = f"{every[0].setting}: {place} can't be used: {outages.line_of(error)}"
        advice = "is it started, and are host and password right?"
        if read.postgres.database_url is None:
            advice = "it runs while `runcast up` does; servers of yours are named by settings"
        yield Finding("postgres", PROBLEM, text, advice)
        return
    yield await _statements(every[0])
    if (replica := read.postgres.database_read_url) is not None:
        yield await _replica(postgres_hosts.with_login(replica, every[0].url))
    for login in every:
        yield await _login(login)


async def _version(connection: Connection) -> Finding:
    text = f"version {await connection.fetchval('SHOW server_version')}"
    if connection.get_server_version().major < migrate.OLDEST_POSTGRES:
        advice = f"Postgres {migrate.OLDEST_POSTGRES} or later is needed"
        return Finding("postgres", PROBLEM, text, advice)
    return Finding("postgres", OK, text)


async def _writes(connection: Connection) -> Finding:
    if await connection.fetchval("SHOW transaction_read_only") == "on":
        advice = "name the primary, or all hosts with ?target_session_attrs=read-write"
        return Finding("postgres", PROBLEM, "it is read-only: a standby", advice)
    return Finding("postgres", OK, "it is a primary")


async def _durable(connection: Connection) -> Finding:
    """An acknowledged event must survive a power cut."""
    for name in ("fsync", "full_page_writes"):
        if await connection.fetchval("SELECT current_setting($1)", name) == "off":
            advice = f"set {name} = on, unless this is for tests only"
            return Finding("postgres", WARNING, f"{name} is off: a crash may ruin it", advice)
    if await connection.fetchval("SHOW synchronous_commit") == "off":
        advice = "set synchronous_commit = on for this database and its logins"
        return Finding(
            "postgres", WARNING, "synchronous_commit is off: a crash loses events", advice
        )
    return Finding("postgres", OK, "what is committed survives a crash")


async def _encoding(connection: Connection) -> Finding:
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        advice = "make the database with ENCODING 'UTF8' TEMPLATE template0"
        return Finding("postgres", PROBLEM, f"the database's encoding is {encoding}", advice)
    return Finding("postgres", OK, "the database's encoding is UTF8")


async def _schema(connection: Connection) -> Finding:
    try:
        rows = await connection.fetch("SELECT version FROM schema_migrations")
    except asyncpg.UndefinedTableError:
        return Finding("schema", PROBLEM, "there is none", _MIGRATE)
    except asyncpg.InsufficientPrivilegeError:
        return Finding("schema", PROBLEM, "this login may not read schema_migrations", _MIGRATE)
    if await unfinished_restore.is_marked(connection):
        return Finding("schema", PROBLEM, unfinished_restore.ADVICE)
    there, ours = {row["version"] for row in rows}, set(migrate.versions())
    if missing := ours - there:
        return Finding("schema", PROBLEM, f"{len(missing)} migrations are missing", _MIGRATE)
    if there - ours:
        return Finding("schema", OK, f"of a later version of Runcast ({max(there)})")
    return Finding("schema", OK, f"of this version ({max(ours)})")


async def _partitions(connection: Connection) -> Finding:
    try:
        for table in PARTITIONED:
            has_room = await connection.fetchval(
                "SELECT has_partition($1::text::regclass, now() + interval '1 day')", table
            )
            if not has_room:
                text = f"{table} has no partition for tomorrow: its events could not be stored"
                advice = "an API process makes partitions every ten minutes: is one running?"
                return Finding("partitions", PROBLEM, text, advice)
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedFunctionError):
        return Finding("partitions", PROBLEM, "there is no schema", _MIGRATE)
    return Finding("partitions", OK, "there are those of tomorrow")


_LOOKS: tuple[Callable[[Connection], Awaitable[Finding]], ...] = (
    _version,
    _writes,
    _durable,
    _encoding,
    _schema,
    _partitions,
)


async def _room(connection: Connection, size: int) -> Finding:
    """Whether the pools of a process find connections."""
    takes = db.connections_of_process(size)
    if await db.is_pooled(connection):
        return Finding("connections", OK, f"through a pooler; a process holds up to {takes} to it")
    room = await connection.fetchval(_ROOM)
    used = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    )
    text = f"{room} in all, {used} in use; a process takes up to {takes}"
    advice = (
        "raise max_connections, lower RUNCAST_DATABASE_POOL_SIZE, or put PgBouncer in between "
        "(docs/operations.md, Postgres)"
    )
    if takes > room:
        return Finding("connections", PROBLEM, text, advice)
    if used + takes > room:
        return Finding("connections", WARNING, f"{text}: not enough for one more", advice)
    return Finding("connections", OK, text)


async def _replica(url: str) -> Finding:
    """A standby that is behind serves little; a read goes to the primary then."""
    try:
        async with _connected(url) as connection:
            is_standby = await connection.fetchval("SELECT pg_is_in_recovery()")
            behind = await connection.fetchval(_BEHIND)
    except _UNREACHABLE as error:
        text = f"DATABASE_READ_URL can't be used: {outages.line_of(error)}"
        return Finding("replica", WARNING, text, "reads go to the primary meanwhile")
    if not is_standby:
        advice = "name a standby, or leave the setting out"
        return Finding("replica", WARNING, "DATABASE_READ_URL names no standby", advice)
    if behind > BEHIND_BYTES:
        text = f"{behind / 1e6:,.0f} MB of what it has received are still to be replayed"
        return Finding("replica", WARNING, text, "reads go to the primary until it has caught up")
    return Finding("replica", OK, "a standby that keeps up")


async def _statements(login: Login) -> Finding:
    """A statement must be known on whichever connection the pooler chooses. Transactions of others take those
    that are free, until it chooses another one."""
    try:
        async with _connected(login.url) as asking, contextlib.AsyncExitStack() as others:
            if not await db.is_pooled(asking):
                return Finding("pooler", OK, "none")
            statement = await asking.prepare("SELECT pg_backend_pid()", name="runcast_doctor")
            first = await statement.fetchval()
            for _ in range(TRIES):
                other = await others.enter_async_context(_connected(login.url))
                await other.execute("BEGIN")
                if await statement.fetchval() != first:
                    return Finding("pooler", OK, "it knows statements on all its connections")
    except _MIXED_UP:
        return Finding("pooler", PROBLEM, db_health.OLD_POOLER)
    except TimeoutError:
        pass
    return Finding("pooler", WARNING, "it has too few connections to be tried", _MORE)


async def _login(login: Login) -> Finding:
    about = f"role {login.role}"
    try:
        async with _connected(login.url) as connection:
            row = await connection.fetchrow(_ROLE, login.role)
            is_pooled = await db.is_pooled(connection)
    except _UNREACHABLE as error:
        text = f"{login.setting} can't be used: {outages.line_of(error)}"
        return Finding(about, PROBLEM, text, "is the password right? `runcast migrate` sets it")
    if not row["exists"]:
        return Finding(about, PROBLEM, "there is no such role", _MIGRATE)
    if row["acting"] == login.role:
        return Finding(about, OK, f"the login {row['login']} begins as it")
    if not row["may_become"]:
        text = f"the login {row['login']} may not become it"
        advice = f"as the owner: GRANT {login.role} TO {row['login']} WITH SET TRUE"
        return Finding(about, PROBLEM, text, f"{advice}; or {_MIGRATE}")
    if is_pooled:
        text = f"the login {row['login']} would have to change its role behind a pooler"
        advice = "give each role its own login (docs/operations.md, Poolers)"
        return Finding(about, PROBLEM, text, advice)
    return Finding(about, OK, f"the login {row['login']} may become it")


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Connection]:
    connection = await postgres_hosts.connect(
        url,
        seconds=CONNECT_SECONDS,
        command_timeout=CONNECT_SECONDS,
        statement_cache_size=0,  # so that a pooler of any age can be looked at
    )
    try:
        yield connection
    finally:
        connection.terminate()
