"""Rows that tests put into a database as an administrator would."""

from uuid import UUID

from runcast._support.ids import uuid7
from runcast_server.auth.principal import Principal, hash_token, new_token
from runcast_server.db import Database

ADMIN = Principal(name="test", is_admin=True)
EPOCH = 7


async def project(database: Database, slug: str | None = None) -> UUID:
    """A project's id, made."""
    project_id = uuid7()
    async with database.changing(ADMIN) as connection:
        await connection.fetchval(
            "SELECT create_project($1, $2, 'p', $3)", project_id, slug or str(project_id), EPOCH
        )
    return project_id


async def admin_key(database: Database) -> str:
    """An administrator's key, made."""
    key = new_token()
    async with database.changing(ADMIN) as connection:
        await connection.execute(
            "INSERT INTO api_keys (id, token_hash, name, is_admin) VALUES ($1, $2, 'admin', true)",
            uuid7(),
            hash_token(key),
        )
    return key
