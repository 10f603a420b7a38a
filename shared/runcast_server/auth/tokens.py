"""Readers of our own tokens: API keys, sessions, share links.

All carry 256 random bits behind a prefix that says what they are, and are stored as SHA-256. Each is looked
up by one function of the database, which answers about this one secret only (`signing_in.sql`).
"""

from __future__ import annotations

from typing import Any

from runcast_server.auth import jwts
from runcast_server.auth.principal import (
    KEY_PREFIX,
    SESSION_PREFIX,
    SHARE_PREFIX,
    Authenticator,
    Principal,
    Role,
    TokenReader,
    hash_token,
)
from runcast_server.db import Database, acquire
from runcast_server.settings import AuthSettings


def authenticator(database: Database, settings: AuthSettings) -> Authenticator:
    """Reads the kinds of tokens that the settings allow."""
    readers: list[TokenReader] = [ApiKeys(database), Sessions(database), ShareLinks(database)]
    reserved = settings.oidc_issuer and f"{settings.oidc_issuer}#"
    names = jwts.Claims(
        settings.jwt_role_claim, settings.jwt_issuer, settings.jwt_audience, reserved
    )
    if settings.jwt_secret is not None:
        secret = settings.jwt_secret.get_secret_value()
        readers.append(jwts.SecretJwt(database, secret, names))
    if settings.jwt_jwks_url is not None:
        readers.append(jwts.PublishedJwt(database, jwts.KeySet(settings.jwt_jwks_url), names))
    return Authenticator(*readers)


class ApiKeys:
    """Reads `rc_…` tokens."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, token: str) -> Principal | None:
        if not token.startswith(KEY_PREFIX):
            return None
        row = await _holder(self._database, "key_holder", token)
        if row is None:
            return None
        return Principal(
            name=f"key:{row['id']}",
            key_id=row["id"],
            is_admin=row["is_admin"],
            project_id=row["project_id"],
            role=Role[row["role"].upper()] if row["role"] else None,
            scopes=frozenset(row["scopes"]),
            expires_at=row["expires_at"],
        )


class Sessions:
    """Reads the tokens of people who signed in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, token: str) -> Principal | None:
        if not token.startswith(SESSION_PREFIX):
            return None
        row = await _holder(self._database, "session_holder", token)
        if row is None:
            return None
        return Principal(
            name=f"user:{row['user_id']}",
            user_id=row["user_id"],
            is_admin=row["is_admin"],
            expires_at=row["expires_at"],
            session_id=row["id"],
        )


class ShareLinks:
    """Reads the tokens of share links: its holder may look at a run or a project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, token: str) -> Principal | None:
        if not token.startswith(SHARE_PREFIX):
            return None
        row = await _holder(self._database, "share_link_holder", token)
        if row is None:
            return None
        return Principal(
            name=f"share:{row['id']}",
            project_id=row["project_id"],
            role=Role.VIEWER,
            expires_at=row["expires_at"],
            share_id=row["id"],
            run_id=row["run_id"],
        )


async def _holder(database: Database, function: str, token: str) -> Any:
    async with acquire(database.requests) as connection:
        return await connection.fetchrow(f"SELECT * FROM {function}($1)", hash_token(token))
