"""Passwords: hashed with argon2id (RFC 9106), few at a time and in turn, and never found out by asking.

A hash is the most expensive thing that a stranger can ask for. Addresses take turns at it, and only some
may wait: a flood of attempts delays itself, and no sign-in from another address by more than one hash each.

A wrong address costs as much time as a wrong password: a hash that nothing matches is checked instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import sys
import threading
import unicodedata
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, TypeVar

import httpx
import structlog
from pydantic import Field, SecretStr

from runcast_api.accounts.argon2id import Hasher
from runcast_server import networks
from runcast_server.errors import Invalid, LimitReached
from runcast_server.fair_turns import FairTurns

AT_LEAST = 10
AT_MOST = 256
AT_ONCE = max(1, min(2, (os.cpu_count() or 1) // 2))
"""A hash takes 64 MiB and a processor; more at once would let sign-ins take the memory and the processors of
everything else."""
WAITING = 100
"""Hashes that may wait for their turn; what comes then is refused."""
BREACH_SECONDS = 3.0

NICENESS = 10
"""By how much the threads that hash are nicer than the others: what people who are signed in ask for goes
first."""
T = TypeVar("T")

Password = Annotated[SecretStr, Field(min_length=1, max_length=AT_MOST)]

log = structlog.get_logger()


class Passwords:
    """Makes and checks hashes in threads."""

    def __init__(self, breach_url: str | None = None, hasher: Hasher | None = None):
        self._breach_url = breach_url
        self._hasher = hasher or Hasher()
        self._nobodys = self._hasher.hash("no one's")
        self._turns = FairTurns(AT_ONCE)
        self._threads = ThreadPoolExecutor(AT_ONCE, "password", initializer=_give_way)
        self._asked = 0

    async def hash(self, password: SecretStr, address: str) -> str:
        """What is stored of a password that was chosen at this address. Raises `Invalid` for one that is
        easily guessed, and `LimitReached`."""
        plain = _plain(password)
        if len(plain) < AT_LEAST:
            raise Invalid.of("body.password", f"at least {AT_LEAST} characters")
        if await self._is_breached(plain):
            raise Invalid.of("body.password", "this password is known from a breach elsewhere")
        async with self._turn(address):
            return await self._in_thread(self._hasher.hash, plain)

    async def is_right(self, stored: str | None, password: SecretStr, address: str) -> bool:
        """Whether the password is the one that was stored; takes as long if none was.

        Raises `LimitReached`.
        """
        async with self._turn(address):
            return await self._in_thread(self._matches, stored, _plain(password))

    async def _in_thread(self, work: Callable[..., T], *given: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *given)

    @contextlib.asynccontextmanager
    async def _turn(self, address: str) -> AsyncIterator[None]:
        if self._asked >= AT_ONCE + WAITING:
            raise LimitReached("too many people sign in right now", retry_after_seconds=5)
        self._asked += 1
        try:
            async with self._turns.of(networks.of(address)):
                yield
        finally:
            self._asked -= 1

    def _matches(self, stored: str | None, plain: str) -> bool:
        return self._hasher.is_of(stored or self._nobodys, plain) and stored is not None

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


def _give_way() -> None:
    """Lowers the priority of this thread. Linux alone has one for each thread. A hash is computed without
    Python's lock, so that nothing else waits for a thread that gives way."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):  # a sandbox may forbid it
            niceness = os.getpriority(os.PRIO_PROCESS, thread) + NICENESS
            os.setpriority(os.PRIO_PROCESS, thread, min(niceness, 19))


def _plain(password: SecretStr) -> str:
    """The same characters however the keyboard composed them (RFC 8265 uses NFC)."""
    return unicodedata.normalize("NFC", password.get_secret_value())
