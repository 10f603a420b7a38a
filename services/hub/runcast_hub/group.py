"""The subscribers of one filter in a room: the same bytes are written to all of them that are live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from runcast_hub import metrics
from runcast_hub.filters import Filter
from runcast_hub.gzip import Shared
from runcast_server.eventlog import frames
from runcast_server.process.http_protocol import as_chunk

if TYPE_CHECKING:
    from runcast_hub.subscriber import Subscriber

ABOUT_DUE_SECONDS = 0.5
"""A heartbeat that is due so soon is sent at once, rather than a second later."""

log = structlog.get_logger()


class Group:
    """The subscribers of one filter: how many there are, and those of them that are live."""

    __slots__ = ("coded", "filter", "handed_bytes", "live", "members", "parts", "written_at")

    def __init__(self, wanted: Filter) -> None:
        self.filter = wanted
        self.members = 0
        self.live: dict[Subscriber, asyncio.Transport] = {}
        self.coded: Shared | None = None
        """The live ones that take gzip, once there was one."""
        self.written_at = time.monotonic()
        """When the live ones were last sent something. One that joined later was sent something then."""
        self.parts: dict[Subscriber, None] = {}
        """The live ones that put ids of their own in front of what they get."""
        self.handed_bytes = 0
        """Counted once for all: to touch each subscriber would cost a delivery a cache miss."""

    def deliver(self, data: bytes, before: int) -> None:
        """Hands the same bytes to every live subscriber; one whose socket is then full leaves. `before` is
        the number that was delivered before them."""
        sent = self.write(data)
        for part in list(self.parts):
            try:
                part.take(data, before)
            except Exception as error:
                # What fails of one stream costs that one: its client comes back, and resumes.
                log.error("stream.failed", connection=part.connection_id, exc_info=error)
                self._send_away(part, before)
        metrics.DELIVERIES.inc(len(self.parts) + sent[0])
        metrics.DELIVERED_BYTES.inc(len(data) * len(self.parts) + sent[1])

    def write(self, data: bytes) -> tuple[int, int]:
        """Writes the same bytes to those that put no ids of their own before them; to how many sockets, and
        how many bytes."""
        self.written_at = time.monotonic()
        count = size = 0
        if self.live:
            self.handed_bytes += len(data)
            count += self._write(list(self.live.values()), as_chunk(data))
            size += len(data) * count
        if self.coded is not None and self.coded.live:
            encoded = self.coded.encoded(data)
            coded = self._write(list(self.coded.live.values()), encoded)
            count += coded
            size += len(encoded) * coded
        return count, size

    def _write(self, transports: Sequence[asyncio.Transport], encoded: bytes) -> int:
        for transport in transports:
            try:
                transport.write(encoded)
            except Exception:  # closed in this very tick, mostly
                self._lose(transport)
        return len(transports)

    def beat(self, cursor: int, seconds: float) -> float:
        """Sends the heartbeat to those who were sent nothing for that time: one for all. The seconds until
        the next one."""
        left = self.written_at + seconds - time.monotonic()
        if left > ABOUT_DUE_SECONDS:
            return left
        self.write(frames.heartbeat(cursor))
        return seconds

    def fall_behind(self) -> None:
        """Before a frame that is longer than a chunk: everyone reads it on their own, piece by piece as their
        socket takes it."""
        for subscriber in self._all_live():
            subscriber.fall_behind()

    def give_up(self, error: Exception, upto: int) -> None:
        """Sends the live ones away, who would miss what could not be handed to them: they come back, and
        resume after `upto`, the last number that was."""
        log.error("group.failed", subscribers=self.members, exc_info=error)
        for subscriber in self._all_live():
            self._send_away(subscriber, upto)

    def _send_away(self, subscriber: Subscriber, upto: int) -> None:
        """Not live any more from here on: no heartbeat says that it was sent what it wasn't, and its position
        is `upto`, not where it joined."""
        if self.part(subscriber):
            subscriber.cursor = upto
        subscriber.end("shutdown")

    def _all_live(self) -> list[Subscriber]:
        coded = () if self.coded is None else self.coded.live
        return [*self.live, *coded, *self.parts]

    def _lose(self, transport: asyncio.Transport) -> None:
        """For a transport that was closed in this very tick, which is rare."""
        for subscriber in self._all_live():
            if subscriber.outlet.transport is transport:
                subscriber.on_lost()

    def join(self, subscriber: Subscriber) -> None:
        """Makes a subscriber live."""
        if subscriber.takes_frames:
            self.parts[subscriber] = None
            return
        if subscriber.gzip is not None:
            self.coded = self.coded or Shared()
            self.coded.join(subscriber, subscriber.outlet.transport)
            return
        self.live[subscriber] = subscriber.outlet.transport
        subscriber.bytes_before -= self.handed_bytes

    def part(self, subscriber: Subscriber) -> bool:
        """Takes a subscriber out of the live ones; whether it was one."""
        if subscriber.takes_frames:
            return self.parts.pop(subscriber, False) is None
        if self.coded is not None and subscriber.gzip is not None:
            return self.coded.part(subscriber)
        if self.live.pop(subscriber, None) is None:
            return False
        subscriber.bytes_before += self.handed_bytes
        return True

    def is_live(self, subscriber: Subscriber | None = None) -> bool:
        """Whether any subscriber is live, or this one."""
        coded = () if self.coded is None else self.coded.live
        if subscriber is None:
            return bool(self.live or coded or self.parts)
        return subscriber in self.live or subscriber in coded or subscriber in self.parts

    def bytes_sent(self, subscriber: Subscriber) -> int:
        """Bytes handed to a subscriber's socket, since its stream began."""
        alone = subscriber.bytes_before
        if self.coded is not None and subscriber in self.coded.live:
            return alone + self.coded.handed_bytes
        return alone + self.handed_bytes if subscriber in self.live else alone
