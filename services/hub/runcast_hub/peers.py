"""Hubs asking each other: a request on the other's control channel, the answer on one's own.

A connection's id begins with the id of the hub that holds it, so a request for it goes straight there. The
hubs that live are listed in one sorted set, each with the time until which it counts, by the clock of the
server that holds the set; one that would count for longer than registrations last is left over from before
that clock went back.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import structlog

from runcast_hub.pubsub import control_channel
from runcast_server import outages
from runcast_server.errors import Problem, Unavailable
from runcast_server.eventlog.bus import Bus

REGISTRY = "runcast:hubs"
REGISTERED_SECONDS = 15
REGISTER_EVERY_SECONDS = 5
ANSWER_SECONDS = 5.0
ANSWERS_AT_ONCE = 256
"""Requests of other hubs that are answered at once; further ones get no answer."""

_REGISTER = """
local now = redis.call('TIME')[1] + 0
local added = redis.pcall('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
if type(added) == 'table' and added.err then
    if not string.find(added.err, 'WRONGTYPE', 1, true) then return added end
    redis.call('EXPIRE', KEYS[1], 0)  -- what isn't our list is dropped
    redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 1)
return redis.call('ZREMRANGEBYSCORE', KEYS[1], now + ARGV[2] + 1, '+inf')
"""
_LIST = """
local now = redis.call('TIME')[1] + 0
return redis.call('ZRANGEBYSCORE', KEYS[1], now, now + ARGV[1])
"""

Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

log = structlog.get_logger()


class Control:
    """One hub's end of the conversation. `answer` serves a request, here or from another hub."""

    def __init__(self, bus: Bus, hub_id: str, answer: Answer) -> None:
        self._bus = bus
        self._hub_id = hub_id
        self._answer = answer
        self._numbers = itertools.count()
        self._asked: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._register = bus.client.register_script(_REGISTER)
        self._list = bus.client.register_script(_LIST)

    async def ask(self, hub_id: str, request: dict[str, Any]) -> dict[str, Any]:
        """What the hub `hub_id` answers. Raises the `Problem` that it raised, or `Unavailable`."""
        if hub_id == self._hub_id:
            return await self._answer(request)
        number = f"{next(self._numbers)}"
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        message = {"from": self._hub_id, "number": number, "request": request}
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._say(hub_id, message)
                reply = await future
        except outages.REDIS as error:
            raise Unavailable(
                f"the hub that holds this connection doesn't answer: {hub_id}"
            ) from error
        finally:
            del self._asked[number]
        if "problem" in reply:
            raise RemoteProblem(reply["problem"])
        answer: dict[str, Any] = reply["answer"]
        return answer

    async def ask_all(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        """The answers of all hubs that live and answer in time; this one's is always among them."""
        hub_ids = {self._hub_id}
        with contextlib.suppress(Unavailable):
            hub_ids |= await self._living()
        answers = await asyncio.gather(
            *(self.ask(hub_id, request) for hub_id in hub_ids), return_exceptions=True
        )
        return [answer for answer in answers if isinstance(answer, dict)]

    async def lives(self, hub_id: str) -> bool:
        """Whether that hub is this one or was heard of lately. Raises `Unavailable` without Redis."""
        return hub_id == self._hub_id or hub_id in await self._living()

    async def _living(self) -> set[str]:
        try:
            names = await self._list(keys=[REGISTRY], args=[REGISTERED_SECONDS])
        except outages.REDIS as error:
            raise Unavailable("the other hubs can't be asked without Redis") from error
        return {name.decode() for name in names}

    def hear(self, data: bytes) -> None:
        """Takes a message of this hub's control channel. One that no hub would send is dropped."""
        message = _parsed(data)
        if message is None:
            log.warning("control.not_understood", size=len(data))
            return
        if "reply" in message:
            future = self._asked.get(message["number"])
            if future is not None and not future.done():
                future.set_result(message["reply"])
            return
        if len(self._answering) >= ANSWERS_AT_ONCE:
            return
        task = asyncio.create_task(self._serve(message))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _serve(self, message: dict[str, Any]) -> None:
        try:
            reply: dict[str, Any] = {"answer": await self._answer(message["request"])}
        except Problem as problem:
            reply = {"problem": problem.body()}
        except Exception as error:
            # The outermost place of this task: the hub that asks must not wait for nothing.
            log.error(
                "control.failed", hub=message["from"], error=outages.named(error), exc_info=error
            )
            reply = {"problem": Problem().body()}
        try:
            await self._say(message["from"], {"number": message["number"], "reply": reply})
        except outages.REDIS as error:
            log.warning("control.not_answered", hub=message["from"], error=str(error))

    async def _say(self, hub_id: str, message: dict[str, Any]) -> None:
        await self._bus.client.spublish(control_channel(hub_id), orjson.dumps(message))

    async def register(self) -> None:
        """Keeps this hub in the list of those that live."""
        await self._register(keys=[REGISTRY], args=[self._hub_id, REGISTERED_SECONDS])


def _parsed(data: bytes) -> dict[str, Any] | None:
    """A request or a reply of another hub; None for anything else."""
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(message, dict) or not isinstance(message.get("number"), str):
        return None
    if "reply" in message:
        return message if _is_reply(message["reply"]) else None
    is_request = isinstance(message.get("from"), str) and isinstance(message.get("request"), dict)
    return message if is_request else None


def _is_reply(reply: Any) -> bool:
    if not isinstance(reply, dict):
        return False
    problem = reply.get("problem")
    if isinstance(problem, dict):
        return isinstance(problem.get("status"), int)
    return isinstance(reply.get("answer"), dict)


class RemoteProblem(Problem):
    """What another hub refused with, passed on as it is."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(str(body.get("detail", "")))
        self._body = body
        self.status = int(body["status"])  # type: ignore[misc]

    def body(self) -> dict[str, Any]:
        return self._body
