"""The logins of the services: they own nothing, and can become the service roles and nothing else.

The owner of the database, who applies the migrations, makes them. Services that log in so run without a
superuser even where the database was set up by one. `SERVICE_LOGIN` reads and writes content;
`ACCOUNTS_LOGIN`, which only the API has, checks passwords and makes tokens.
"""

from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from runcast_server.db import ACCOUNTS_ROLE, LOG_ROLE, REQUEST_ROLE

SERVICE_LOGIN = "runcast_server"
ACCOUNTS_LOGIN = "runcast_accounts_login"


def as_login(owner_url: str, login: str) -> str:
    """The same place, by this login, where no password is asked for."""
    parts = urlsplit(owner_url)
    _, at, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{login}@{place}" if at else login))


async def ensure(owner_url: str, service_url: str, accounts_url: str | None = None) -> None:
    """Makes the logins that the URLs name, with their passwords, or gives them these passwords.

    Without an `accounts_url` the service login does the accounts' work too.
    """
    connection = await asyncpg.connect(owner_url)
    try:
        async with connection.transaction():
            service = await _login(connection, service_url, SERVICE_LOGIN)
            await connection.execute(f"GRANT {REQUEST_ROLE}, {LOG_ROLE} TO {service}")
            accounts = service
            if accounts_url is not None:
                accounts = await _login(connection, accounts_url, ACCOUNTS_LOGIN)
            if accounts != service:
                await connection.execute(f"REVOKE {ACCOUNTS_ROLE} FROM {service}")
            await connection.execute(f"GRANT {ACCOUNTS_ROLE} TO {accounts}")
            database = await connection.fetchval("SELECT quote_ident(current_database())")
            await connection.execute(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC")
    finally:
        await connection.close()


async def _login(connection: Any, url: str, default: str) -> str:
    """The login that a URL names, quoted; made if it isn't there."""
    parts = urlsplit(url)
    name, password = unquote(parts.username or default), unquote(parts.password or "")
    login: str = await connection.fetchval("SELECT quote_ident($1)", name)
    if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", name):
        await connection.execute(f"CREATE ROLE {login}")
    secret = await connection.fetchval("SELECT quote_literal($1)", password)
    word = f"PASSWORD {secret}" if password else ""
    await connection.execute(f"ALTER ROLE {login} LOGIN NOINHERIT {word}")
    await connection.execute(f"GRANT SELECT ON schema_migrations TO {login}")
    return login
