"""Who is calling: a token in, a principal out.

Tokens of ours (`rc_…`) carry 256 random bits and are stored as SHA-256, so looking one up by its hash
tells nothing about others; external JSON Web Tokens (RFC 7519) are verified by secret or JWKS. What was
found is remembered for some seconds: authentication then costs a dictionary look-up.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Protocol
from uuid import UUID

import jwt

from runcast.ids import uuid7
from runcast_server.db import Database, acquire
from runcast_server.errors import Unauthenticated
from runcast_server.settings import AuthSettings

KEY_PREFIX = "rc_"
REMEMBERED_SECONDS = 3.0
REMEMBERED_TOKENS = 10_000


class Role(IntEnum):
    """What a member may do in a project; each role includes those below it."""

    VIEWER = 1
    REPORTER = 2
    EDITOR = 3
    OWNER = 4


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in caller: a person, or an API key.

    `name` is what idempotency keys and limits belong to. A key that isn't an admin's is bound to
    `project_id` with `role`; a person's role is looked up per project.
    """

    name: str
    user_id: UUID | None = None
    key_id: UUID | None = None
    is_admin: bool = False
    project_id: UUID | None = None
    role: Role | None = None
    scopes: frozenset[str] = frozenset()
    expires_at: datetime | None = None

    @property
    def limit_name(self) -> str:
        """Whose limits count: a person's sessions and tokens together, a key by itself."""
        return f"user:{self.user_id}" if self.user_id and not self.key_id else self.name

    def has_expired(self) -> bool:
        """Whether the token's own end has come."""
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


class TokenReader(Protocol):
    """One kind of token. Answers None for a token that isn't of its kind."""

    async def read(self, token: str) -> Principal | None: ...


def new_token() -> str:
    """A fresh API key: 256 random bits, shown once."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def hash_token(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).digest()


def bearer(headers: Mapping[str, str]) -> str | None:
    """The token of an `Authorization: Bearer` header (RFC 6750, section 2.1), if there is one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


class Authenticator:
    """Finds the principal of a token, asking each reader in turn.

    `principal` raises `Unauthenticated` for no token, a bad one, or one that has expired or was
    revoked (noticed within `REMEMBERED_SECONDS`).
    """

    def __init__(self, *readers: TokenReader) -> None:
        self._readers = readers
        self._remembered: dict[str, tuple[float, Principal]] = {}

    async def principal(self, token: str | None) -> Principal:
        if not token:
            raise Unauthenticated("send a token: Authorization: Bearer <token>")
        remembered = self._remembered.get(token)
        if remembered is not None and remembered[0] > time.monotonic():
            principal: Principal | None = remembered[1]
        else:
            principal = await self._read(token)
        if principal is None or principal.has_expired():
            raise Unauthenticated("the token is not valid, or not valid any more")
        return principal

    async def _read(self, token: str) -> Principal | None:
        for reader in self._readers:
            principal = await reader.read(token)
            if principal is not None:
                if len(self._remembered) >= REMEMBERED_TOKENS:
                    self._remembered.clear()
                self._remembered[token] = (time.monotonic() + REMEMBERED_SECONDS, principal)
                return principal
        self._remembered.pop(token, None)
        return None


def authenticator(database: Database, settings: AuthSettings) -> Authenticator:
    """Reads the kinds of tokens that the settings allow."""
    readers: list[TokenReader] = [ApiKeys(database)]
    if settings.jwt_secret is not None:
        readers.append(SecretJwt(database, settings.jwt_secret.get_secret_value()))
    return Authenticator(*readers)


class ApiKeys:
    """Reads `rc_…` tokens."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, token: str) -> Principal | None:
        if not token.startswith(KEY_PREFIX):
            return None
        async with acquire(self._database.log) as connection:
            row = await connection.fetchrow(
                """SELECT id, project_id, role, is_admin, scopes, expires_at FROM api_keys
                   WHERE token_hash = $1 AND revoked_at IS NULL
                     AND (expires_at IS NULL OR expires_at > now())""",
                hash_token(token),
            )
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


class SecretJwt:
    """Reads HS256 tokens signed with `RUNCAST_JWT_SECRET`: `sub` is the user, made known on first sight."""

    def __init__(self, database: Database, secret: str) -> None:
        self._database = database
        self._secret = secret

    async def read(self, token: str) -> Principal | None:
        try:
            claims = jwt.decode(
                token, self._secret, algorithms=["HS256"], options={"require": ["sub"]}
            )
        except jwt.InvalidTokenError:
            return None
        return await user_principal(self._database, claims)


async def user_principal(database: Database, claims: Mapping[str, Any]) -> Principal:
    """The person whom verified claims name; the row is made on first sight."""
    async with acquire(database.requests) as connection:
        user_id = await connection.fetchval(
            """WITH made AS (
                   INSERT INTO users (id, subject, email, name) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (subject) DO NOTHING RETURNING id)
               SELECT id FROM made UNION ALL SELECT id FROM users WHERE subject = $2 LIMIT 1""",
            uuid7(),
            str(claims["sub"]),
            claims.get("email"),
            str(claims.get("name", "")),
        )
    expires = claims.get("exp")
    return Principal(
        name=f"user:{user_id}",
        user_id=user_id,
        is_admin=claims.get("role") == "admin",
        expires_at=datetime.fromtimestamp(expires, UTC) if expires is not None else None,
    )
