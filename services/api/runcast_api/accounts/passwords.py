"""Passwords: hashed with argon2id (RFC 9106), few at a time, and never found out by asking.

A wrong address costs as much time as a wrong password: a hash that nothing matches is checked instead.
"""

from __future__ import annotations

import asyncio
import hashlib
import unicodedata
from typing import Annotated

import argon2
import httpx
import structlog
from pydantic import Field, SecretStr

from runcast_server.errors import Invalid

AT_LEAST = 10
AT_MOST = 256
AT_ONCE = 2
"""A hash takes 64 MiB; more at once would let sign-ins take the memory of everything else."""
BREACH_SECONDS = 3.0

Password = Annotated[SecretStr, Field(min_length=1, max_length=AT_MOST)]

log = structlog.get_logger()


class Passwords:
    """Makes and checks hashes in threads."""

    def __init__(self, breach_url: str | None = None, hasher: argon2.PasswordHasher | None = None):
        self._breach_url = breach_url
        self._hasher = hasher or argon2.PasswordHasher()
        self._nobodys = self._hasher.hash("no one's")
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def hash(self, password: SecretStr) -> str:
        """What is stored of a password. Raises `Invalid` for one that is too easily guessed."""
        plain = _plain(password)
        if len(plain) < AT_LEAST:
            raise Invalid.of("body.password", f"at least {AT_LEAST} characters")
        if await self._is_breached(plain):
            raise Invalid.of("body.password", "this password is known from a breach elsewhere")
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, plain)

    async def is_right(self, stored: str | None, password: SecretStr) -> bool:
        """Whether the password is the one that was stored; takes as long if none was."""
        async with self._turns:
            return await asyncio.to_thread(self._matches, stored, _plain(password))

    def _matches(self, stored: str | None, plain: str) -> bool:
        try:
            return self._hasher.verify(stored or self._nobodys, plain) and stored is not None
        except argon2.exceptions.VerificationError:
            return False

    async def _is_breached(self, plain: str) -> bool:
        """Asks a breach list by the first five digits of the SHA-1 (k-anonymity); without an answer
        the password passes."""
        if self._breach_url is None:
            return False
        digest = hashlib.sha1(plain.encode(), usedforsecurity=False).hexdigest().upper()
        try:
            async with httpx.AsyncClient(timeout=BREACH_SECONDS) as client:
                answer = await client.get(
                    self._breach_url + digest[:5], headers={"Add-Padding": "true"}
                )
            answer.raise_for_status()
        except httpx.HTTPError as error:
            log.warning("breach_list.not_asked", error=repr(error))
            return False
        found = (line.partition(":") for line in answer.text.splitlines())
        return any(rest == digest[5:] and count.strip() != "0" for rest, _, count in found)


def _plain(password: SecretStr) -> str:
    """The same characters however the keyboard composed them (RFC 8265 uses NFC)."""
    return unicodedata.normalize("NFC", password.get_secret_value())
