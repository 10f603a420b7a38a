"""Connection limits per caller, counted over all hubs.

Each hub keeps, per caller, its own number of open streams in one Redis hash, valid until a time that it moves
forward while it lives. A hub that dies stops moving it, and its streams stop counting within `LEASE_SECONDS`.
The time is that of the server that holds the hash, one for all hubs; an entry that would count for longer
than a lease lasts was written before that clock went back, and counts no more.

One task writes all of a hub's counts, one round after another, with what was asked for and given back
meanwhile. So no write overtakes another one, and the limit holds when hundreds ask at the same time: a
count that was read before and written after another one would otherwise take that one back.

Without Redis each hub counts for itself. No one waits longer than `REDIS_SECONDS` to find that out.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque

import structlog

from runcast_server import outages, tasks
from runcast_server.eventlog.bus import Bus

LEASE_SECONDS = 15
RENEW_SECONDS = 5
POLL_SECONDS = 0.25
REDIS_SECONDS = 0.5
"""How long an opening or an ending stream waits for Redis at most."""
NAMES_A_ROUND = 500

_CALLED = """
local function called(...)
    local done = redis.pcall(...)
    if type(done) ~= 'table' or not done.err then return done end
    if not string.find(done.err, 'WRONGTYPE', 1, true) then error(done) end
    redis.call('EXPIRE', KEYS[1], 0)
    return redis.call(...)
end
"""
"""Another kind of key under this name is dropped: it would fail each round that it is written in, for all
callers."""
_TAKE = f"""{_CALLED}
local now = redis.call('TIME')[1] + 0
local others = 0
local entries = called('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
    local count, expires = string.match(entries[i + 1], '(%d+):(%d+)')
    local left = (tonumber(expires) or 0) - now
    if left < 0 or left > tonumber(ARGV[5]) then
        redis.call('HDEL', KEYS[1], entries[i])
    elseif entries[i] ~= ARGV[1] then
        others = others + tonumber(count)
    end
end
local mine, wanted = tonumber(ARGV[2]), tonumber(ARGV[3])
local granted = math.max(0, math.min(wanted, tonumber(ARGV[4]) - mine - others))
if mine + granted > 0 then
    redis.call('HSET', KEYS[1], ARGV[1], mine + granted .. ':' .. (now + ARGV[5]))
    redis.call('EXPIRE', KEYS[1], ARGV[5] * 4)
else
    redis.call('HDEL', KEYS[1], ARGV[1])
end
return granted
"""
"""Grants up to ARGV[3] further streams to a hub that holds ARGV[2], within ARGV[4] over all hubs."""
_KEEP = f"""{_CALLED}
if tonumber(ARGV[2]) <= 0 then return called('HDEL', KEYS[1], ARGV[1]) end
called('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. (redis.call('TIME')[1] + ARGV[3]))
return redis.call('EXPIRE', KEYS[1], ARGV[3] * 4)
"""
"""Writes that a hub holds ARGV[2]. Its end is told by the clock that `_TAKE` reads: the key's own
server's."""

log = structlog.get_logger()

_Asked = deque[asyncio.Future[bool]]


class Leases:
    """The open streams of this hub, by caller."""

    def __init__(self, bus: Bus, hub_id: str) -> None:
        self._bus = bus
        self._hub_id = hub_id
        self._held: Counter[str] = Counter()
        self._limits: dict[str, int] = {}
        self._asked: dict[str, _Asked] = {}
        self._changed: set[str] = set()
        self._writing: asyncio.Task[None] | None = None
        self._take = bus.client.register_script(_TAKE)

    async def take(self, name: str, limit: int, *, wait_seconds: float = 0.0) -> bool:
        """Counts one more stream of `name`; False when that would be more than `limit` (0: no limit).

        Waits for a free place up to `wait_seconds`: a browser's EventSource gives up for ever on any
        answer but 200, so a reconnect whose old stream still counts had better wait.
        """
        if limit == 0:
            self._held[name] += 1
            return True
        deadline = asyncio.get_running_loop().time() + wait_seconds
        try:
            while not await self._ask(name, limit):
                if asyncio.get_running_loop().time() >= deadline:
                    return False
                await asyncio.sleep(POLL_SECONDS)
            return True
        finally:
            self._forget(name)

    async def _ask(self, name: str, limit: int) -> bool:
        self._limits[name] = limit  # each time: it is forgotten with the last stream of the name
        if not self._bus.is_avoided:
            answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            self._asked.setdefault(name, deque()).append(answer)
            self._begin_writing()
            try:
                if await tasks.done_within(answer, REDIS_SECONDS):
                    return answer.result()
            except asyncio.CancelledError:
                if answer.done() and answer.result():
                    self._held[name] -= 1
                    self._changed.add(name)
                    self._begin_writing()
                raise
            finally:
                answer.cancel()
        if self._held[name] >= limit:
            return False
        self._count(name, limit)
        self._changed.add(name)
        return True

    def _count(self, name: str, limit: int) -> None:
        self._held[name] += 1
        self._limits[name] = limit

    async def give_back(self, name: str) -> None:
        """Counts one stream less, also when the caller is being cancelled."""
        self._held[name] -= 1
        if name in self._limits:
            self._changed.add(name)
            self._begin_writing()
        self._forget(name)
        if self._writing is not None:
            await tasks.done_within(self._writing, REDIS_SECONDS)

    def _forget(self, name: str) -> None:
        if self._held[name] <= 0:
            del self._held[name]
            if name not in self._asked:
                self._limits.pop(name, None)

    async def renew(self) -> None:
        """Keeps the counts of this hub valid."""
        self._changed |= self._limits.keys()
        self._begin_writing()
        if self._writing is not None:
            # In a storm of openings it never comes to its end.
            await asyncio.wait((self._writing,), timeout=RENEW_SECONDS)

    async def close(self) -> None:
        """Gives everything back at once, so that a clean stop leaves no lease behind."""
        self._changed |= self._limits.keys()
        self._held.clear()
        self._begin_writing()
        if (writing := self._writing) is not None:
            await tasks.done_within(writing, REDIS_SECONDS)
            await tasks.end(writing)

    # ------------------------------------------------------------------ the one writer

    def _begin_writing(self) -> None:
        if self._writing is None and not self._bus.is_avoided:
            self._writing = asyncio.create_task(self._write_rounds())

    async def _write_rounds(self) -> None:
        try:
            while self._asked or self._changed:
                await tasks.within(REDIS_SECONDS, self._write_round())
        except Exception as error:
            # The outermost place of this task. Counts expire, and are written again with the next renewal.
            expected = outages.is_outage(error)
            log.warning(
                "connection_limits.not_written",
                error=outages.named(error),
                exc_info=None if expected else error,
            )
            self._bus.avoid()
        finally:
            self._writing = None

    async def _write_round(self) -> None:
        asked, self._asked = self._asked, {}
        limits = {name: self._limits[name] for name in asked}
        some = set(itertools.islice(self._changed, NAMES_A_ROUND))
        self._changed -= some | asked.keys()
        await self._write(some - asked.keys())
        await asyncio.gather(
            *(self._grant(name, limits[name], answers) for name, answers in asked.items())
        )
        for name in asked:
            self._forget(name)  # who asked may have given up

    async def _grant(self, name: str, limit: int, answers: _Asked) -> None:
        """Asks for all of one caller's streams at once, and answers the first ones that asked."""
        granted = await self._take(
            keys=[_key(name)],
            args=(self._hub_id, self._held[name], len(answers), limit, LEASE_SECONDS),
        )
        for answer in answers:
            if answer.done():
                # It didn't wait so long; what Redis counted for it is taken back in the next round.
                self._changed.add(name)
                continue
            if granted > 0:
                self._count(name, limit)
            answer.set_result(granted > 0)
            granted -= 1

    async def _write(self, names: set[str]) -> None:
        """Writes this hub's counts as they are."""
        if not names:
            return
        pipeline = self._bus.client.pipeline(transaction=False)
        for name in names:
            pipeline.eval(_KEEP, 1, _key(name), self._hub_id, self._held[name], LEASE_SECONDS)
        await pipeline.execute()


def _key(name: str) -> str:
    return f"runcast:lease:{name}"
