"""One attempt to send something: bounded in time, along no redirect, to no address that is refused."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpcore

from runcast_api.outgoing import addresses
from runcast_api.outgoing.addresses import CheckedNetwork, Refused
from runcast_api.outgoing.lookups import Lookups

ATTEMPT_SECONDS = 20.0
ERROR_CHARACTERS = 300
LONGEST_WAIT_SECONDS = 24 * 3600.0
SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt: the receiver's status, and why it failed; `error` is None where it took
    it. `wait_seconds`: how long the receiver wants to be left alone (`Retry-After`)."""

    status: int | None
    error: str | None
    wait_seconds: float = 0.0


@dataclass(eq=False)
class Sender:
    """POSTs bodies to receivers. Names of receivers that fail are looked up apart from those of others.
    `allows_private`: whether to private addresses, where a caller doesn't say."""

    allows_private: bool
    _lookups: Mapping[bool, Lookups] = field(
        default_factory=lambda: {False: Lookups(), True: Lookups()}
    )
    _tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    async def send(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        payer: Hashable = None,
        is_failing: bool = False,
        allows_private: bool | None = None,
    ) -> Outcome:
        """One attempt; `payer` takes turns with others at looking names up. Redirects aren't followed: they
        are failures."""
        may_be_private = self.allows_private if allows_private is None else allows_private
        try:
            addresses.check_url(url, allows_private=may_be_private)
            network = CheckedNetwork(
                self._lookups[is_failing], payer, allows_private=may_be_private
            )
            async with asyncio.timeout(ATTEMPT_SECONDS):
                status, wait_seconds = await self._post(network, url, headers, body)
        except Refused as refused:
            return Outcome(None, str(refused)[:ERROR_CHARACTERS])
        except TimeoutError:
            return Outcome(None, f"no answer within {ATTEMPT_SECONDS:.0f} s")
        except Exception as error:  # whatever a receiver makes us raise costs this attempt
            return Outcome(None, (str(error) or type(error).__name__)[:ERROR_CHARACTERS])
        if status in SUCCESS:
            return Outcome(status, None)
        why = (
            "a redirect, which isn't followed" if 300 <= status < 400 else "the receiver refused it"
        )
        return Outcome(status, f"{status}: {why}", wait_seconds)

    async def _post(
        self, network: CheckedNetwork, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, float]:
        sent = [(name, value) for name, value in headers.items()]
        # A pool for one connection: each goes to what was checked for it, and none is kept.
        # What a receiver answers besides its status, and when to come again, is never read.
        async with (
            httpcore.AsyncConnectionPool(self._tls, network_backend=network) as pool,
            pool.stream("POST", url, headers=sent, content=body) as answer,
        ):
            asked = next((v for n, v in answer.headers if n.lower() == b"retry-after"), b"")
            return answer.status, _seconds(asked.decode("latin-1"))

    def close(self) -> None:
        for lookups in self._lookups.values():
            lookups.close()


def _seconds(retry_after: str) -> float:
    """The wait that a receiver asks for, in seconds or until a date; a day at most, 0 for what is neither."""
    with contextlib.suppress(ValueError, OverflowError):
        if retry_after.isascii() and retry_after.isdigit():
            return min(float(retry_after[:20]), LONGEST_WAIT_SECONDS)
        at = parsedate_to_datetime(retry_after)
        left = (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)
        return min(max(left.total_seconds(), 0.0), LONGEST_WAIT_SECONDS)
    return 0.0
