"""Proofs of who someone is: a password, a one-time link. Wrong ones are counted, and all look alike."""

from __future__ import annotations

import unicodedata
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr, StringConstraints

from runcast_api.accounts import audit, sessions
from runcast_api.accounts.passwords import Password, Passwords
from runcast_api.accounts.sessions import Visitor
from runcast_api.http.fields import NoNul, Patch
from runcast_server.auth.principal import ANONYMOUS, Principal, hash_token
from runcast_server.auth.rate_limits import SignInLimits
from runcast_server.db import Connection, Database, acquire
from runcast_server.errors import Forbidden, Invalid, Unauthenticated

WRONG = "the e-mail address or the password is wrong"
_LIKE_LATIN = frozenset({"LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "COPTIC", "CHEROKEE"})
"""Scripts whose letters look like one another's."""


def normalized(email: str) -> str:
    """The address as accounts are found by it. A letter that isn't ASCII never becomes one that is: with the
    Kelvin sign for a `k` an address would find the account of another."""
    return "".join(
        c.lower() if c.isascii() or not c.lower().isascii() else c for c in email.strip()
    )


def _plausible(email: str) -> str:
    """Proven is an address only by an answer; this refuses what can't be one, and what is made to look like
    another one (Unicode Technical Standard 39, section 5)."""
    local, at, domain = email.rpartition("@")
    if not (local and at and domain) or any(c.isspace() or not c.isprintable() for c in email):
        raise ValueError("must be an e-mail address")
    if unicodedata.normalize("NFKC", email) != email:
        raise ValueError("must be an e-mail address, in Unicode's form NFKC")
    if any(_mixes_scripts(part) for part in (local, *domain.split("."))):
        raise ValueError(
            "must be an e-mail address whose parts don't mix letters of several scripts"
        )
    return normalized(email)


def _mixes_scripts(part: str) -> bool:
    scripts = {unicodedata.name(c, "").partition(" ")[0] for c in part if c.isalpha()}
    return len(scripts & _LIKE_LATIN) > 1


Email = Annotated[
    str, StringConstraints(min_length=3, max_length=254), NoNul, AfterValidator(_plausible)
]


class Login(BaseModel):
    """With `cookie` the session goes into a cookie that no script can read, and not into the answer."""

    model_config = ConfigDict(extra="forbid")

    email: Annotated[str, StringConstraints(max_length=254), NoNul]
    password: Password
    cookie: bool = False


class LoginLink(BaseModel):
    """The token of a one-time link; see `Login` for `cookie`."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, StringConstraints(max_length=200)]
    cookie: bool = True


class PasswordChange(Patch):
    """A new password; the present one where there is one. `name` may change with it or alone."""

    NEVER_NULL = frozenset({"name", "password"})

    name: Annotated[str, StringConstraints(min_length=1, max_length=200), NoNul] | None = None
    password: Password | None = None
    current_password: Password | None = None


async def by_password(
    database: Database,
    passwords: Passwords,
    limits: SignInLimits,
    email: str,
    password: SecretStr,
    visitor: Visitor,
) -> UUID:
    """Whose address and password these are. Raises `Unauthenticated`, `LimitReached`."""
    login = normalized(email)
    await limits.attempt(visitor.address, login)
    async with acquire(database.accounts) as connection:
        row = await connection.fetchrow("SELECT * FROM password_of($1)", login)
    is_right = await passwords.is_right(row["hash"] if row else None, password, visitor.address)
    if row is None or not is_right or row["is_disabled"]:
        await _note_failure(database, visitor, login)
        raise Unauthenticated(WRONG)
    user_id: UUID = row["user_id"]
    return user_id


async def by_link(database: Database, limits: SignInLimits, token: str, visitor: Visitor) -> UUID:
    """Whom a one-time link signs in; it is used up. Raises `Unauthenticated`, `LimitReached`."""
    await limits.attempt_from(visitor.address)
    async with acquire(database.accounts) as connection:
        user_id: UUID | None = await connection.fetchval(
            "SELECT use_sign_in_link($1)", hash_token(token)
        )
    if user_id is None:
        await _note_failure(database, visitor, None)
        raise Unauthenticated("the link is not valid, or was used already")
    return user_id


async def _note_failure(database: Database, visitor: Visitor, login: str | None) -> None:
    async with database.changing(ANONYMOUS) as connection:
        await audit.note(
            connection, ANONYMOUS, "sign_in_failed", subject=login, address=visitor.address
        )


async def set_password(connection: Connection, user_id: UUID, hashed: str) -> None:
    """Stores the hash; row-level security lets it be one's own, or an administrator do it."""
    await connection.execute(
        """INSERT INTO passwords (user_id, hash) VALUES ($1, $2)
           ON CONFLICT (user_id) DO UPDATE SET hash = $2, changed_at = now()""",
        user_id,
        hashed,
    )


async def change_own(
    database: Database,
    passwords: Passwords,
    limits: SignInLimits,
    caller: Principal,
    change: PasswordChange,
    visitor: Visitor,
) -> None:
    """Changes name and password of the caller. The present password is asked for, so that a session
    left open can't be made one's own; a new one ends all other sessions. Raises `Forbidden`, `Invalid`."""
    if caller.user_id is None:
        raise Forbidden("only people have a name and a password")
    hashed = None
    if change.password is not None:
        await _prove(database, passwords, limits, caller, change, visitor)
        hashed = await passwords.hash(change.password, visitor.address)
    async with database.changing(caller) as connection:
        if change.name is not None:
            await connection.execute("SELECT rename_me($1)", change.name)
        if hashed is not None:
            await set_password(connection, caller.user_id, hashed)
            await audit.note(
                connection,
                caller,
                "password_changed",
                subject=caller.user_id,
                address=visitor.address,
            )
            await sessions.end_others(connection, caller)


_SIGNS_IN_AS = """
SELECT u.login, EXISTS (
    SELECT FROM sessions s WHERE s.id = $2 AND s.method = 'link' AND s.created_at > now() - interval '1 hour'
) AS came_by_link FROM users u WHERE u.id = $1
"""


async def _prove(
    database: Database,
    passwords: Passwords,
    limits: SignInLimits,
    caller: Principal,
    change: PasswordChange,
    visitor: Visitor,
) -> None:
    """Raises `Invalid` unless the present password was given, there is none, or an administrator's link
    was used within the hour, as by someone who has forgotten it."""
    async with database.acting(caller) as connection:
        who = await connection.fetchrow(_SIGNS_IN_AS, caller.user_id, caller.session_id)
    login: str | None = who["login"]
    if login is None:
        raise Invalid.of("body.password", "this account has no e-mail address to sign in with")
    async with acquire(database.accounts) as connection:
        row = await connection.fetchrow("SELECT * FROM password_of($1)", login)
    if row is None or who["came_by_link"]:
        return
    await limits.attempt(visitor.address, login)
    given = change.current_password
    if given is None or not await passwords.is_right(row["hash"], given, visitor.address):
        raise Invalid.of("body.current_password", "is not the present password")
