"""The logins of the services: they own nothing, and can become the service roles and nothing else.

The owner of the database, who applies the migrations, makes them; it needs no superuser, only `CREATEROLE`. A
login begins each session as its role and with our time-outs, so that a pooler may stand in between (see
`db_sessions`). `SERVICE_LOGIN` writes the event log; `REQUESTS_LOGIN` reads, as one caller at a time;
`ACCOUNTS_LOGIN`, which only the API has, checks passwords and makes tokens.
"""

from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from runcast_server import outages, postgres_hosts
from runcast_server.db import ACCOUNTS_ROLE, LOG_ROLE, REQUEST_ROLE, Urls
from runcast_server.db_sessions import SESSION
from runcast_server.errors import ExplainedError

SERVICE_LOGIN = "runcast_server"
REQUESTS_LOGIN = "runcast_requests_login"
ACCOUNTS_LOGIN = "runcast_accounts_login"


class LoginError(ExplainedError):
    """A login can't be made, or must not be changed. The message says which, and what to do."""


def as_login(owner_url: str, login: str) -> str:
    """The same place, by this login, where no password is asked for."""
    parts = urlsplit(owner_url)
    _, at, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{login}@{place}" if at else login))


def embedded(owner_url: str) -> Urls:
    """The logins of our own Postgres, which asks for no passwords."""
    logins = (SERVICE_LOGIN, REQUESTS_LOGIN, ACCOUNTS_LOGIN)
    return Urls(*(as_login(owner_url, login) for login in logins))


async def ensure(owner_url: str, urls: Urls) -> None:
    """Makes the logins that the URLs name, with their passwords, or gives them these passwords.

    Where the requests or the accounts have no URL of their own, the service login does their work too. Raises
    `LoginError`.
    """
    connection = await postgres_hosts.connect(owner_url, seconds=postgres_hosts.CONNECT_SECONDS)
    try:
        owner = await connection.fetchval("SELECT quote_ident(current_user)")
        async with connection.transaction():
            # Two that alter a role at once end in an error of one of them.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('runcast logins'))")
            await _all(connection, urls)
    except asyncpg.InsufficientPrivilegeError as error:
        raise LoginError(
            f"{owner} may not set up the logins of the services ({outages.line_of(error)}): give it "
            f"CREATEROLE, and logins and roles that another made: GRANT … TO {owner} WITH ADMIN OPTION"
        ) from error
    finally:
        await connection.close()


async def _all(connection: Any, urls: Urls) -> None:
    service = await _login(connection, urls.log, SERVICE_LOGIN, LOG_ROLE)
    await _grant(connection, REQUEST_ROLE, service)
    if urls.requests is not None:
        await _login(connection, urls.requests, REQUESTS_LOGIN, REQUEST_ROLE)
    if urls.accounts is not None:
        await _login(connection, urls.accounts, ACCOUNTS_LOGIN, ACCOUNTS_ROLE)
        await connection.execute(f"REVOKE {ACCOUNTS_ROLE} FROM {service}")
    else:
        await _grant(connection, ACCOUNTS_ROLE, service)
    database = await connection.fetchval("SELECT quote_ident(current_database())")
    await connection.execute(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC")


async def _login(connection: Any, url: str, default: str, role: str) -> str:
    """The login that a URL names, quoted; made if it isn't there. It begins as `role`."""
    parts = urlsplit(url)
    name, password = unquote(parts.username or default), unquote(parts.password or "")
    await _check(connection, name)
    login: str = await connection.fetchval("SELECT quote_ident($1)", name)
    if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", name):
        await connection.execute(f"CREATE ROLE {login}")
    secret = await connection.fetchval("SELECT quote_literal($1)", password)
    word = f"PASSWORD {secret}" if password else ""
    await connection.execute(f"ALTER ROLE {login} LOGIN NOINHERIT {word}")
    await _grant(connection, role, login)
    await connection.execute(f"GRANT SELECT ON schema_migrations TO {login}")
    await _begin_as(connection, login, role)
    await _oversee(connection, name, login)
    return login


async def _check(connection: Any, name: str) -> None:
    """Raises `LoginError` for a login that would lose its own rights, as the owner or a superuser would: from
    then on it begins as a role that owns nothing."""
    is_special = await connection.fetchval(
        """SELECT rolname IN (current_user, session_user) OR rolsuper
           FROM pg_roles WHERE rolname = $1""",
        name,
    )
    if is_special:
        raise LoginError(
            f"the services need a login of their own, and {name} is the owner or a superuser: name "
            "another one in RUNCAST_DATABASE_SERVICE_URL, _REQUESTS_URL and _ACCOUNTS_URL; it is made"
        )


async def _grant(connection: Any, role: str, login: str) -> None:
    await connection.execute(f"GRANT {role} TO {login} WITH SET TRUE, INHERIT FALSE")


async def _begin_as(connection: Any, login: str, role: str) -> None:
    """In this database only: the login may be someone else elsewhere."""
    database = await connection.fetchval("SELECT quote_ident(current_database())")
    for name, value in {"role": role, **SESSION}.items():
        await connection.execute(
            f"ALTER ROLE {login} IN DATABASE {database} SET {name} = '{value}'"
        )


async def _oversee(connection: Any, name: str, login: str) -> None:
    """Lets the owner, who may be no superuser, see and end sessions of this login that are stuck."""
    if not await connection.fetchval("SELECT pg_has_role(current_user, $1::name, 'USAGE')", name):
        await connection.execute(f"GRANT {login} TO CURRENT_USER WITH INHERIT TRUE, SET FALSE")
