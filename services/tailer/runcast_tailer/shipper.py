"""Into the ingest stream: many messages in one round trip, each with the id that it was given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import structlog
from redis.exceptions import RedisError

from runcast import contract
from runcast_server import outages
from runcast_tailer.window import Sent

ROUND_BYTES = 1024 * 1024

log = structlog.get_logger(__name__)


class Shipper:
    """Adds messages to their streams, of which there are `streams`. `trouble` is why the last ones could not
    be added."""

    def __init__(self, client: Any, streams: int = 1) -> None:
        self._client = client
        self._streams = streams
        self.trouble: str | None = None

    async def ship(self, messages: Iterable[Sent]) -> int:
        """Adds messages in order; what fails keeps no `entry` and is sent again at the next call.

        Answers how many were added.
        """
        number = 0
        waiting = iter(messages)
        while part := list(_part(waiting)):
            added = await self._add(part)
            number += added
            if added < len(part):
                break
        return number

    async def _add(self, part: Sequence[Sent]) -> int:
        pipeline = self._client.pipeline(transaction=False)
        for message in part:
            pipeline.xadd(message.stream, {"m": message.payload})
        try:
            answers = await pipeline.execute(raise_on_error=False)
        except outages.REDIS as error:
            self._stumble(error)
            return 0
        trouble, added, failed = self.trouble, 0, set()
        self.trouble = None
        for message, answer in zip(part, answers, strict=True):
            if isinstance(answer, RedisError):
                self._stumble(answer, trouble)
                failed.add(message.stream)
            elif (
                message.stream not in failed
            ):  # what follows a message that is missing is sent after it
                message.entry = answer.decode()
                added += 1
        return added

    async def send(self, run: str, payload: bytes) -> bool:
        """Adds a message of a run, for which nothing waits; False where that failed."""
        try:
            await self._client.xadd(contract.tailer_stream(run, self._streams), {"m": payload})
        except outages.REDIS as error:
            self._stumble(error)
            return False
        return True

    async def has(self, message: Sent) -> bool:
        """Whether a message still waits in its stream. Raises one of `outages.REDIS`."""
        entry = message.entry
        return bool(await self._client.xrange(message.stream, min=entry, max=entry, count=1))

    def _stumble(self, error: BaseException, before: str | None = None) -> None:
        trouble = str(error) or type(error).__name__
        if trouble not in (self.trouble, before):
            log.warning("tailer.redis_refuses", error=trouble)
        self.trouble = trouble


def _part(messages: Iterable[Sent]) -> Iterable[Sent]:
    size = 0
    for message in islice(messages, 1_000):
        yield message
        size += len(message.payload)
        if size >= ROUND_BYTES:
            return
