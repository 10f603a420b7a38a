"""The login of the services: it owns nothing, and can become the two service roles and nothing else.

The owner of the database, who applies the migrations, makes it. Services that log in so run without a
superuser even where the database was set up by one.
"""

from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from runcast_server.db import LOG_ROLE, REQUEST_ROLE

SERVICE_LOGIN = "runcast_server"


def as_service(owner_url: str) -> str:
    """The same place, by the service login, where no password is asked for."""
    parts = urlsplit(owner_url)
    _, at, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{SERVICE_LOGIN}@{place}" if at else SERVICE_LOGIN))


async def ensure(owner_url: str, service_url: str) -> None:
    """Makes the login that `service_url` names, with its password, or gives it this password."""
    parts = urlsplit(service_url)
    name, password = unquote(parts.username or SERVICE_LOGIN), unquote(parts.password or "")
    connection = await asyncpg.connect(owner_url)
    try:
        async with connection.transaction():
            login = await connection.fetchval("SELECT quote_ident($1)", name)
            if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", name):
                await connection.execute(f"CREATE ROLE {login}")
            secret = await connection.fetchval("SELECT quote_literal($1)", password)
            word = f"PASSWORD {secret}" if password else ""
            await connection.execute(f"ALTER ROLE {login} LOGIN NOINHERIT {word}")
            await connection.execute(f"GRANT {REQUEST_ROLE}, {LOG_ROLE} TO {login}")
            await connection.execute(f"GRANT SELECT ON schema_migrations TO {login}")
    finally:
        await connection.close()
