"""Who is calling: a token in, a principal out.

A token comes in the header `Authorization`, in the console's cookie, or, of share links only, in the
query. Readers turn it into a principal (`tokens`, `jwts`). What was found is remembered for some
seconds: authentication then costs a dictionary look-up.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Protocol
from urllib.parse import parse_qs
from uuid import UUID

from runcast_server.errors import Unauthenticated

KEY_PREFIX = "rc_"
SESSION_PREFIX = "rs_"
SHARE_PREFIX = "rl_"
TICKET_PREFIX = "rt_"
INVITATION_PREFIX = "ri_"
LINK_PREFIX = "ro_"
ANSWER_PREFIX = "ra_"
SHARE_PARAMETER = "share"
SESSION_COOKIE = "runcast_session"
HOST_PREFIX = "__Host-"
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
    """A caller: a person, an API key, or the holder of a share link.

    `name` is what idempotency keys and limits belong to. A key that isn't an administrator's is bound to
    `project_id` with `role`, and so is a link, perhaps to one run of it; a person's role is looked up per
    project.
    """

    name: str
    user_id: UUID | None = None
    key_id: UUID | None = None
    is_admin: bool = False
    project_id: UUID | None = None
    role: Role | None = None
    scopes: frozenset[str] = frozenset()
    expires_at: datetime | None = None
    session_id: UUID | None = None
    share_id: UUID | None = None
    run_id: UUID | None = None
    is_admin_by_token: bool = False
    """An external token says so; what the user's row says is not asked."""

    @property
    def limit_name(self) -> str:
        """Whose limits count: a person's sessions and tokens together, a key by itself."""
        return f"user:{self.user_id}" if self.user_id and not self.key_id else self.name

    @property
    def role_name(self) -> str:
        """What row-level security knows a bound caller as; a guest reads, but sees no people."""
        if self.share_id is not None:
            return "guest"
        return self.role.name.lower() if self.role else ""

    def has_expired(self) -> bool:
        """Whether the token's own end has come."""
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


ANONYMOUS = Principal(name="anonymous")
"""No one yet: reads nothing, but leaves its traces in the audit log."""


class TokenReader(Protocol):
    """One kind of token. Answers None for a token that isn't of its kind."""

    async def read(self, token: str) -> Principal | None: ...


def new_token(prefix: str = KEY_PREFIX) -> str:
    """A fresh secret: 256 random bits, shown once. The prefix says what it is."""
    return prefix + secrets.token_urlsafe(32)


def hash_token(token: str) -> bytes:
    """What is stored of a token. Random bits need no slow hash; looking one up tells nothing of others."""
    return hashlib.sha256(token.encode()).digest()


def presented(headers: Mapping[str, str], query: str = "") -> str | None:
    """The token that a request shows: in its header, as a share link in its query, in its cookie.

    The process's front has taken cookies away from requests that other sites made.
    """
    return (
        bearer(headers)
        or _shared(query)
        or cookie(headers, session_cookie(headers, is_secure=True))
        or cookie(headers, session_cookie(headers))
    )


def bearer(headers: Mapping[str, str]) -> str | None:
    """The token of an `Authorization: Bearer` header (RFC 6750, section 2.1), if there is one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def session_cookie(headers: Mapping[str, str], *, is_secure: bool = False) -> str:
    """The name of the session's cookie. Cookies know no ports: two servers on one machine need two names.

    Over TLS it has the prefix by which browsers know that this host alone set it (RFC 6265bis, section
    4.1.3.2): a page of a sibling domain can't put a session of its own into its place.
    """
    _, separator, port = headers.get("host", "").rpartition(":")
    name = f"{SESSION_COOKIE}_{port}" if separator and port.isdigit() else SESSION_COOKIE
    return HOST_PREFIX + name if is_secure else name


def cookie(headers: Mapping[str, str], name: str) -> str | None:
    """The value of a cookie, if it was sent."""
    sent = headers.get("cookie", "")
    if name not in sent:
        return None
    for part in sent.split(";"):
        found, _, value = part.strip().partition("=")
        if found == name and value:
            return value
    return None


def _shared(query: str) -> str | None:
    if SHARE_PREFIX not in query:
        return None
    token = parse_qs(query).get(SHARE_PARAMETER, [""])[-1]
    return token if token.startswith(SHARE_PREFIX) else None


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
            raise Unauthenticated("the token is invalid, expired or revoked")
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

    def forget(self) -> None:
        """Reads every token again: something was revoked here."""
        self._remembered.clear()
