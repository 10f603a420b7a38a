"""How often someone may ask: counted in Redis, over all processes, with the library `limits`.

Two kinds. Sign-ins are counted before each is tried, by address and by account, without Redis in this
process alone. Requests are counted in memory and reported a few times a second, so that counting adds no
round trip to any of them; a caller over the limit is refused as soon as a report says so.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import structlog
from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter

from runcast_server import networks, outages
from runcast_server.auth.principal import Principal
from runcast_server.errors import LimitReached
from runcast_server.eventlog.bus import Bus
from runcast_server.loops import Items
from runcast_server.settings import AuthSettings

PREFIX = "runcast:limit"
REPORT_SECONDS = 0.25
WINDOW_SECONDS = 60
REFUSED_SECONDS = 1.0
"""For how long a refused sign-in is remembered without asking Redis."""
REMEMBERED_REFUSALS = 10_000

log = structlog.get_logger()


class _Counters(RedisStorage):
    """The library's counters by a client of ours, whose URL, options and topology are the bus's."""

    def __init__(self, client: Any) -> None:
        self._client = client
        super().__init__("async+redis://", implementation="redispy", key_prefix=PREFIX)

    def configure_bridge(self) -> None:
        """Called by the library where it would connect by itself."""
        bridge: Any = self.bridge
        bridge.storage = self._client
        bridge.connection_getter = lambda _: self._client


def storage(bus: Bus) -> Storage:
    """Counters in the bus's Redis, over its connections."""
    return _Counters(bus.client)


class SignInLimits:
    """Attempts to sign in, right or wrong: of an address at an account, at an account, of an address. Of
    IPv6, a network counts as an address (`networks`).

    A refusal is remembered for a second, so that a flood of attempts costs one round trip in each.
    """

    def __init__(self, counters: Storage) -> None:
        self._shared = FixedWindowRateLimiter(counters)
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._of_both = RateLimitItemPerMinute(10, 5, "sign-in-pair")
        self._of_account = RateLimitItemPerMinute(1000, 60, "sign-in-account")
        self._of_address = RateLimitItemPerMinute(60, 5, "sign-in-address")
        self._refused_until: dict[tuple[str, ...], float] = {}

    async def attempt(self, address: str, account: str) -> None:
        """Counts one attempt. Raises `LimitReached`; whether the account exists makes no difference."""
        await self.attempt_from(address)
        await self._count(self._of_both, networks.of(address), account)
        await self._count(self._of_account, account)

    async def attempt_from(self, address: str) -> None:
        """Counts one attempt at no account in particular. Raises `LimitReached`."""
        await self._count(self._of_address, networks.of(address))

    async def _count(self, rule: RateLimitItem, *names: str) -> None:
        now = time.monotonic()
        if self._refused_until.get((rule.namespace, *names), now) > now:
            raise _too_many(rule)
        if not await self._hit(rule, *names):
            if len(self._refused_until) >= REMEMBERED_REFUSALS:
                self._refused_until.clear()
            self._refused_until[rule.namespace, *names] = now + REFUSED_SECONDS
            raise _too_many(rule)

    async def _hit(self, rule: RateLimitItem, *names: str) -> bool:
        try:
            return await self._shared.hit(rule, *names)
        except outages.REDIS as error:
            log.warning("limits.own_count", error=outages.named(error))
            return await self._own.hit(rule, *names)


def _too_many(rule: RateLimitItem) -> LimitReached:
    seconds = rule.get_expiry()
    return LimitReached("too many attempts; wait a few minutes", retry_after_seconds=seconds)


@dataclass(frozen=True, slots=True)
class PerMinute:
    """What one caller may have in a minute, over all processes; 0 means no limit."""

    requests: int = 0
    bytes: int = 0
    searches: int = 0


class RequestLimits:
    """What callers ask for and get in a window of a minute; holders of a share link count together.

    Counting never waits. A caller over a limit is refused everything until the window's end, as soon as the
    next report has told so.
    """

    def __init__(self, counters: Storage, of_callers: PerMinute, of_links: PerMinute) -> None:
        self._limiter = FixedWindowRateLimiter(counters)
        self._of_callers = of_callers
        self._of_links = of_links
        self._unreported: Counter[tuple[str, str, int]] = Counter()
        self._refused_until: dict[str, float] = {}
        self._due: asyncio.TimerHandle | None = None
        self._reporting: asyncio.Task[None] | None = None

    @classmethod
    def configured(cls, counters: Storage, settings: AuthSettings) -> RequestLimits:
        """With the limits of the settings."""
        links = PerMinute(
            settings.share_requests_per_minute,
            settings.share_bytes_per_minute,
            settings.share_searches_per_minute,
        )
        return cls(counters, PerMinute(settings.requests_per_minute), links)

    def count(self, caller: Principal) -> None:
        """Counts one request. Raises `LimitReached`."""
        self._refuse(caller.limit_name)
        self._note("requests", caller, self._limits(caller).requests, 1)

    def count_search(self, caller: Principal) -> None:
        """Counts a request that looks through content. Raises `LimitReached`."""
        self._refuse(caller.limit_name)
        self._note("searches", caller, self._limits(caller).searches, 1)

    def count_bytes(self, caller: Principal, number: int) -> None:
        """Counts what a caller was sent. Raises nothing: the next request is refused."""
        self._note("bytes", caller, self._limits(caller).bytes, number)

    def _limits(self, caller: Principal) -> PerMinute:
        return self._of_links if caller.share_id else self._of_callers

    def _note(self, kind: str, caller: Principal, limit: int, number: int) -> None:
        if limit == 0 or number == 0:
            return
        self._unreported[kind, caller.limit_name, limit] += number
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(REPORT_SECONDS, self._begin_report)

    def _refuse(self, name: str) -> None:
        if not self._refused_until:
            return
        seconds = self._refused_until.get(name, 0.0) - time.monotonic()
        if seconds > 0:
            raise LimitReached("too many requests", retry_after_seconds=max(1, round(seconds)))
        self._refused_until.pop(name, None)

    def _begin_report(self) -> None:
        self._due = None
        if self._reporting is None or self._reporting.done():
            self._reporting = asyncio.create_task(self._report_all())

    async def _report_all(self) -> None:
        counted, self._unreported = self._unreported, Counter()
        callers = Items("limits")
        try:
            for (kind, name, limit), number in counted.items():
                with callers.one(caller=name):
                    await self._report(kind, name, limit, number)
        except outages.REDIS as error:
            log.warning("limits.not_counted", error=outages.named(error))
        now = time.monotonic()
        self._refused_until = {name: at for name, at in self._refused_until.items() if at > now}

    async def _report(self, kind: str, name: str, limit: int, number: int) -> None:
        rule = RateLimitItemPerSecond(limit, WINDOW_SECONDS, kind)
        if await self._limiter.hit(rule, name, cost=number):
            return
        resets_at = (await self._limiter.get_window_stats(rule, name)).reset_time
        self._refused_until[name] = time.monotonic() + max(0.0, resets_at - time.time())

    async def close(self) -> None:
        """Gives up what was not reported."""
        if self._due is not None:
            self._due.cancel()
        if self._reporting is not None:
            self._reporting.cancel()
            await asyncio.gather(self._reporting, return_exceptions=True)
