"""JSON Web Tokens of others (RFC 7519): by a shared secret, or by keys that their issuer publishes.

`sub` is the person, made known on first sight; a claim (`role` unless a setting names another) whose value
is `admin` makes an administrator. Published keys (RFC 7517) are fetched when a token names one that isn't
known, and again every few minutes, so that keys come and go without a restart.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
import structlog

from runcast._support.ids import uuid7
from runcast_server.auth import fetched
from runcast_server.auth.principal import Principal
from runcast_server.db import Database, acquire
from runcast_server.errors import Unauthenticated, Unavailable

SECRET_ALGORITHMS = ["HS256"]
PUBLIC_ALGORITHMS = {"RSA": "RS256", "EC": "ES256"}
CURVE = "P-256"
"""ES256's; keys of other curves are left out."""
LEEWAY_SECONDS = 10
"""How far clocks may differ at a token's beginning; at its end they may not."""
FETCH_SECONDS = 5.0
KEPT_SECONDS = 300.0
"""A key that its issuer withdrew is believed for this long at most."""
UNKNOWN_SECONDS = 10.0
"""A token with an unknown key makes us fetch again, but not more often than this."""

SUBJECT_LENGTH = 255
"""OpenID Connect Core, section 2."""
_LAST_SECOND = int(datetime(9998, 12, 31, tzinfo=UTC).timestamp())

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Claims:
    """What is asked of a token's claims, besides `sub`."""

    role_claim: str = "role"
    issuer: str | None = None
    audience: str | None = None
    reserved: str | None = None
    """How the subjects of people begin who sign in at the provider of OpenID Connect: no token of another
    issuer names one of them."""

    def verified(self, token: str, key: Any, algorithms: list[str]) -> dict[str, Any] | None:
        """The claims of a token that is good; None for one that isn't, whatever reading it raised."""
        try:
            return jwt.decode(
                token,
                key,
                algorithms=algorithms,
                issuer=self.issuer,
                audience=self.audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["sub"], "verify_aud": self.audience is not None},
            )
        except (
            Exception
        ):  # infinite times, numbers as texts: PyJWT has no error of its own for all of them
            return None


class SecretJwt:
    """Reads HS256 tokens signed with `RUNCAST_JWT_SECRET`."""

    def __init__(self, database: Database, secret: str, claims: Claims | None = None) -> None:
        self._database = database
        self._secret = secret
        self._claims = claims or Claims()

    async def read(self, token: str) -> Principal | None:
        said = self._claims.verified(token, self._secret, SECRET_ALGORITHMS)
        return await principal(self._database, said, self._claims) if said else None


class KeySet:
    """The keys that an issuer publishes at a URL."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def key(self, key_id: str | None) -> jwt.PyJWK | None:
        """The key with this id; None if the issuer publishes none such.

        Raises `Unavailable` while the issuer can't be reached and nothing was learnt from it yet.
        """
        age = time.monotonic() - self._fetched_at
        if age > KEPT_SECONDS or (key_id not in self._keys and age > UNKNOWN_SECONDS):
            await self._refresh(self._fetched_at)
        return self._keys.get(key_id)

    async def _refresh(self, seen: float) -> None:
        async with self._fetching:
            if self._fetched_at != seen:
                return
            try:
                self._keys = keys_in(await self._fetch())
            except Exception as error:
                log.warning("jwks.not_fetched", url=self._url, error=repr(error))
                if not self._keys:
                    raise Unavailable("the issuer's keys can't be fetched") from error
            self._fetched_at = time.monotonic()

    async def _fetch(self) -> Any:
        answer = await fetched.fetch(self._url, FETCH_SECONDS)
        if answer.status != 200:
            raise ValueError(f"the issuer answers {answer.status}")
        return answer.value


def keys_in(document: Any) -> dict[str | None, jwt.PyJWK]:
    """The keys of a key set that can be used here. One that can't is left out, as RFC 7517 asks (section 5).

    Raises `ValueError` for what is no key set.
    """
    published = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(published, list):
        raise ValueError("not a JSON Web Key Set")
    keys: dict[str | None, jwt.PyJWK] = {}
    for each in published:
        try:
            is_usable = each.get("kty") in PUBLIC_ALGORITHMS and each.get("use", "sig") == "sig"
            if is_usable and each.get("crv", CURVE) == CURVE:
                key = jwt.PyJWK(each, PUBLIC_ALGORITHMS[each["kty"]])
                keys[key.key_id] = key
        except Exception as error:  # the outermost place of a key
            log.info("jwks.key_left_out", error=repr(error))
    return keys


class PublishedJwt:
    """Reads RS256 and ES256 tokens by the keys at `RUNCAST_JWT_JWKS_URL`."""

    def __init__(self, database: Database, keys: KeySet, claims: Claims | None = None) -> None:
        self._database = database
        self._keys = keys
        self._claims = claims or Claims()

    async def read(self, token: str) -> Principal | None:
        try:
            header = jwt.get_unverified_header(token)
        except Exception:  # whatever a token makes PyJWT raise, it isn't good
            return None
        if header.get("alg") not in PUBLIC_ALGORITHMS.values():
            return None
        key = await self._keys.key(header.get("kid"))
        if key is None:
            return None
        said = self._claims.verified(token, key.key, [key.algorithm_name])
        return await principal(self._database, said, self._claims) if said else None


async def principal(
    database: Database, said: Mapping[str, Any], claims: Claims
) -> Principal | None:
    """The person whom verified claims name; None where `sub` can be no one's. Raises `Unauthenticated` for
    one who was disabled."""
    subject = said["sub"]
    if _text(subject, SUBJECT_LENGTH) != subject or not subject:
        return None
    if claims.reserved is not None and subject.startswith(claims.reserved):
        return None
    async with acquire(database.requests) as connection:
        row = await connection.fetchrow(
            "SELECT * FROM subject_holder($1, $2, $3, $4)",
            uuid7(),
            subject,
            _text(said.get("email")),
            _text(said.get("name")) or "",
        )
    if row["is_disabled"]:
        raise Unauthenticated("this account was disabled")
    by_token = _grants_admin(said.get(claims.role_claim))
    return Principal(
        name=f"user:{row['user_id']}",
        user_id=row["user_id"],
        is_admin=by_token or row["is_admin"],
        expires_at=_moment(said.get("exp")),
        is_admin_by_token=by_token,
    )


def _grants_admin(role: object) -> bool:
    return role == "admin" or (isinstance(role, list) and "admin" in role)


def _moment(seconds: object) -> datetime | None:
    """The time that a claim names; the last one that there is for what lies beyond the calendar, such as
    milliseconds."""
    if not isinstance(seconds, (int, float, str)):
        return None
    return datetime.fromtimestamp(min(int(seconds), _LAST_SECOND), UTC)


def _text(claim: object, length: int = 200) -> str | None:
    """A claim as text that Postgres can hold."""
    if not isinstance(claim, str):
        return None
    return claim.replace("\x00", "").encode(errors="replace").decode()[:length]
