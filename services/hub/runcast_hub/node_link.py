"""One pub/sub connection to one server of Redis, and how the hub knows that it lives.

Pub/sub has no delivery promise, and a dead connection looks like silence. So every second a probe is sent to
oneself through this server, and a missing echo ends the connection. A server that was demoted goes on
echoing; so the probe comes with a write, which such a server refuses. On a cluster the probe's channel and
key lie in a slot of this very server: one probe for all would notice only the server that it happens to lie
on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog

from runcast_hub import metrics
from runcast_server import outages, tasks
from runcast_server.eventlog.bus import PROBE_KEY

PROBE_SECONDS = 1.0
ECHO_SECONDS = 4.0
"""Silence after which a connection counts as dead."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ears:
    """Who is told what: that a channel is subscribed, that the server took it away, that a message came on
    one, that the connection is up (messages may have been missed before), and that it ended."""

    confirmed: Callable[[str], None]
    lost: Callable[[str], None]
    heard: Callable[[str, bytes], None]
    connected: Callable[[], None]
    ended: Callable[[], None]


class NodeLink:
    """Receives the messages of the channels that are wanted of one server.

    `connect` makes the client. `probe_tag` answers a hash tag of a slot that this server holds now, or raises
    one of `outages.REDIS`. Where `is_one_of_many` each channel is subscribed by a command of its own: those
    of one command must share a slot.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        probe_tag: Callable[[], str],
        ears: Ears,
        *,
        is_one_of_many: bool = False,
    ) -> None:
        self._connect = connect
        self._probe_tag = probe_tag
        self._probe = self._probe_key = ""
        self._ears = ears
        self._is_one_of_many = is_one_of_many
        self._wanted: set[str] = set()
        self._sent: set[str] = set()
        """The channels that this connection asked its server for."""
        self._leaving: Counter[str] = Counter()
        """Those that it asked the server to end, until it says that it did."""
        self._changed = asyncio.Event()
        self._heard_at = 0.0
        self._probed_at = 0.0
        self.is_up = False

    def add(self, channel: str) -> None:
        """Listens to a channel."""
        self._wanted.add(channel)
        self._changed.set()

    def remove(self, channel: str) -> None:
        """Stops listening to a channel."""
        self._wanted.discard(channel)
        self._changed.set()

    def wants(self, channel: str) -> bool:
        """Whether this channel is to come from this server."""
        return channel in self._wanted

    def want(self, channels: Iterable[str]) -> None:
        """Listens to these channels and no others."""
        self._wanted = set(channels)
        self._changed.set()

    def ask_again(self, channel: str) -> None:
        """Asks the server once more for a channel on which nothing comes."""
        self._sent.discard(channel)
        self._changed.set()

    async def run(self) -> None:
        """Connects and listens until the connection is lost, which raises what ended it."""
        tag = self._probe_tag()
        self._probe, self._probe_key = f"runcast:{{{tag}}}:probe", f"{PROBE_KEY}:{{{tag}}}"
        client = self._connect()
        pubsub = client.pubsub()
        self._sent.clear()
        self._leaving.clear()
        try:
            # The server confirms in order: when the probe is confirmed, the wanted channels are, too.
            await self._subscribe_wanted(pubsub)
            await pubsub.ssubscribe(self._probe)
            self._heard_at = time.monotonic()
            await self._attend(client, pubsub)
        finally:
            self.is_up = False
            metrics.RECONNECTS.inc()
            self._ears.ended()
            with contextlib.suppress(*outages.REDIS):
                await pubsub.aclose()
                await client.aclose()

    async def _attend(self, client: Any, pubsub: Any) -> None:
        beside = [
            asyncio.create_task(self._keep_probing(client)),
            asyncio.create_task(self._keep_subscribed(pubsub)),
        ]
        try:
            await self._listen(pubsub, beside)
        finally:
            await tasks.end(*beside)

    async def _keep_subscribed(self, pubsub: Any) -> None:
        while True:
            await self._changed.wait()
            await self._subscribe_wanted(pubsub)

    async def _subscribe_wanted(self, pubsub: Any) -> None:
        """Makes the connection's channels those that are wanted, also what changes meanwhile."""
        while True:
            self._changed.clear()
            missing, extra = self._wanted - self._sent, self._sent - self._wanted
            if not missing and not extra:
                return
            self._sent = (self._sent | missing) - extra
            self._leaving.update(extra)
            for some in self._commands(extra):
                await pubsub.sunsubscribe(*some)
            for some in self._commands(missing):
                await pubsub.ssubscribe(*some)

    def _commands(self, channels: set[str]) -> list[list[str]]:
        if self._is_one_of_many:
            return [[channel] for channel in channels]
        return [list(channels)] if channels else []

    async def _listen(self, pubsub: Any, beside: list[asyncio.Task[None]]) -> None:
        while time.monotonic() - self._heard_at < ECHO_SECONDS:
            for task in beside:
                if task.done():
                    task.result()
            message = await pubsub.get_message(timeout=PROBE_SECONDS)
            if message is not None:
                self._take(message)
        raise TimeoutError("the hub no longer hears its own probe")

    def _take(self, message: dict[str, Any]) -> None:
        channel = message["channel"].decode()
        match message["type"]:
            case "ssubscribe" if channel == self._probe:
                self.is_up = True
                self._ears.connected()
            case "ssubscribe":
                self._ears.confirmed(channel)
            case "sunsubscribe" if self._leaving[channel]:
                self._leaving[channel] -= 1
                self._leaving += Counter()
            case "sunsubscribe":
                self._sent.discard(channel)
                self._wanted.discard(channel)
                self._ears.lost(channel)
            case "smessage" if channel == self._probe:
                self._heard_at = time.monotonic()
                metrics.ECHO_SECONDS.observe(self._heard_at - self._probed_at)
            case "smessage":
                self._hand_on(channel, message["data"])

    def _hand_on(self, channel: str, data: bytes) -> None:
        """What is wrong with one message costs its channel a comparison, and not the link."""
        try:
            self._ears.heard(channel, data)
        except Exception as error:
            log.error("message.failed", channel=channel, error=outages.named(error), exc_info=error)
            self._ears.connected()

    async def _keep_probing(self, client: Any) -> None:
        """Probes through this link's own client: another pool may be busy, and would say nothing of it."""
        while True:
            await client.expire(self._probe_key, 1)
            self._probed_at = time.monotonic()
            await client.spublish(self._probe, b"")
            await asyncio.sleep(PROBE_SECONDS)
