"""Connection limits per caller, counted over all hubs.

Each hub keeps, per caller, its own number of open streams in one Redis hash, valid until a time that
it moves forward while it lives. A hub that dies stops moving it, and its streams stop counting within
`LEASE_SECONDS`. The time is Redis's, one for all hubs; an entry that would count for longer than a lease
lasts was written before that clock went back, and counts no more. Without Redis each hub counts for itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable
from typing import cast

import structlog

from runcast_server import outages
from runcast_server.eventlog.bus import Bus

LEASE_SECONDS = 15
RENEW_SECONDS = 5
POLL_SECONDS = 0.25

_TAKE = """
local now = redis.call('TIME')[1] + 0
local others = 0
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
    local count, expires = string.match(entries[i + 1], '(%d+):(%d+)')
    local left = tonumber(expires) - now
    if left < 0 or left > tonumber(ARGV[4]) then
        redis.call('HDEL', KEYS[1], entries[i])
    elseif entries[i] ~= ARGV[1] then
        others = others + tonumber(count)
    end
end
local mine = tonumber(ARGV[2])
if mine + others > tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], mine .. ':' .. (now + ARGV[4]))
redis.call('EXPIRE', KEYS[1], ARGV[4] * 4)
return 1
"""


log = structlog.get_logger()


class Leases:
    """The open streams of this hub, by caller."""

    def __init__(self, bus: Bus, hub_id: str) -> None:
        self._bus = bus
        self._hub_id = hub_id
        self._mine: Counter[str] = Counter()
        self._limits: dict[str, int] = {}
        self._take = bus.client.register_script(_TAKE)

    async def take(self, name: str, limit: int, *, wait_seconds: float = 0.0) -> bool:
        """Counts one more stream of `name`; False when that would be more than `limit` (0: no limit).

        Waits for a free place up to `wait_seconds`: a browser's EventSource gives up for ever on any
        answer but 200, so a reconnect whose old stream still counts had better wait.
        """
        deadline = asyncio.get_running_loop().time() + wait_seconds
        while True:
            self._mine[name] += 1
            if limit == 0 or await self._is_granted(name, limit):
                self._limits[name] = limit
                return True
            self._mine[name] -= 1
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)

    async def _is_granted(self, name: str, limit: int) -> bool:
        try:
            return bool(await self._record(name, limit))
        except outages.REDIS:
            return self._mine[name] <= limit

    def _record(self, name: str, limit: int) -> Awaitable[int]:
        taking = self._take(
            keys=[f"runcast:lease:{name}"],
            args=(self._hub_id, self._mine[name], limit, LEASE_SECONDS),
        )
        return cast(Awaitable[int], taking)

    async def give_back(self, name: str) -> None:
        """Counts one stream less, also when the caller is being cancelled."""
        self._mine[name] -= 1
        limit = self._limits.get(name, 0)
        if self._mine[name] <= 0:
            del self._mine[name]
            self._limits.pop(name, None)
        if limit:
            await asyncio.shield(self._write([name]))

    async def renew(self) -> None:
        """Keeps the counts of this hub valid."""
        await self._write([name for name, limit in self._limits.items() if limit])

    async def close(self) -> None:
        """Gives everything back at once, so that a clean stop leaves no lease behind."""
        names = [name for name, limit in self._limits.items() if limit]
        self._mine.clear()
        await self._write(names)

    async def _write(self, names: list[str]) -> None:
        """Writes this hub's counts; when Redis is away they expire, and are written again later."""
        if not names:
            return
        try:
            seconds, _ = await self._bus.client.time()
            pipeline = self._bus.client.pipeline(transaction=False)
            for name in names:
                key = f"runcast:lease:{name}"
                if self._mine[name] > 0:
                    pipeline.hset(
                        key, self._hub_id, f"{self._mine[name]}:{seconds + LEASE_SECONDS}"
                    )
                    pipeline.expire(key, LEASE_SECONDS * 4)
                else:
                    pipeline.hdel(key, self._hub_id)
            await pipeline.execute()
        except outages.REDIS as error:
            log.warning("leases.not_written", error=str(error))
