"""Into the ingest stream: many messages in one round trip, each with the id that it was given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import structlog
from redis.exceptions import RedisError

from runcast.contract import TAILER_STREAM
from runcast_server import outages
from runcast_tailer.window import Sent

ROUND_BYTES = 1024 * 1024

log = structlog.get_logger(__name__)


class Shipper:
    """Adds messages to the stream. `trouble` is why the last ones could not be added."""

    def __init__(self, client: Any) -> None:
        self._client = client
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
            pipeline.xadd(TAILER_STREAM, {"m": message.payload})
        try:
            answers = await pipeline.execute(raise_on_error=False)
        except outages.REDIS as error:
            self._stumble(error)
            return 0
        self.trouble = None
        added = 0
        for message, answer in zip(part, answers, strict=True):
            if isinstance(answer, RedisError):
                self._stumble(answer)
                break
            message.entry = answer.decode()
            added += 1
        return added

    async def send(self, payload: bytes) -> bool:
        """Adds a message that nothing waits for; False where that failed."""
        try:
            await self._client.xadd(TAILER_STREAM, {"m": payload})
        except outages.REDIS as error:
            self._stumble(error)
            return False
        return True

    async def has(self, entry: str) -> bool:
        """Whether an entry still waits in the stream. Raises one of `outages.REDIS`."""
        return bool(await self._client.xrange(TAILER_STREAM, min=entry, max=entry, count=1))

    def _stumble(self, error: BaseException) -> None:
        trouble = str(error) or type(error).__name__
        if trouble != self.trouble:
            log.warning("tailer.redis_refuses", error=trouble)
        self.trouble = trouble


def _part(messages: Iterable[Sent]) -> Iterable[Sent]:
    size = 0
    for message in islice(messages, 1_000):
        yield message
        size += len(message.payload)
        if size >= ROUND_BYTES:
            return
