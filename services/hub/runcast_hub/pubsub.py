"""The hub's one pub/sub connection, and how it knows that the connection lives.

Pub/sub has no delivery promise and a dead link looks like silence. So the hub publishes a probe to
itself every second, and a missing echo means: connect again, and let every room compare
its head with Postgres. The link never decides about history; it only says when to look.

Rooms only say which channels they want. One task makes the connection's subscriptions equal to that, so
it doesn't matter in which order channels are asked for, given back and confirmed, or whether the link is up.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import structlog

from runcast_hub import metrics
from runcast_server import outages, tasks
from runcast_server.eventlog.bus import Bus, Keys

PROBE_SECONDS = 1.0
ECHO_SECONDS = 4.0
"""Silence after which the link counts as dead."""
RECONNECT_SECONDS = 0.5
SUBSCRIBE_SECONDS = 0.5
"""How long a stream's opening waits for Redis to confirm its channel. A Redis that doesn't answer costs no
more than that: the channel is subscribed later, and comparing with Postgres covers the time until then."""

log = structlog.get_logger()


def control_channel(hub_id: str) -> str:
    """Where a hub hears from the others."""
    return f"runcast:{{hub:{hub_id}}}:control"


class Link:
    """Receives the live messages of the channels that rooms ask for.

    `on_message` gets every live message, `on_control` what other hubs say; `on_connected` is called
    after each (re)connection, when messages may have been missed.
    """

    def __init__(
        self,
        bus: Bus,
        hub_id: str,
        on_message: Callable[[str, bytes], None],
        on_control: Callable[[bytes], None],
        on_connected: Callable[[], None],
    ) -> None:
        self._bus = bus
        self._probe = f"runcast:{{hub:{hub_id}}}:probe"
        self._control = control_channel(hub_id)
        self._on_message = on_message
        self._on_control = on_control
        self._on_connected = on_connected
        self._wanted: dict[str, asyncio.Event] = {}
        """The channels that rooms want; the event is set once Redis has confirmed one."""
        self._sent: set[str] = set()
        """The channels that this connection asked Redis for."""
        self._changed = asyncio.Event()
        self._heard_at = 0.0
        self.is_up = False

    async def subscribe(self, project_id: UUID) -> bool:
        """Listens to a project's live channel; False when Redis didn't confirm in time (it will be
        subscribed as soon as possible)."""
        confirmed = self._wanted.setdefault(Keys.of(project_id).live, asyncio.Event())
        self._changed.set()
        if not self.is_up or self._bus.is_avoided:
            return False
        try:
            async with asyncio.timeout(SUBSCRIBE_SECONDS):
                await confirmed.wait()
        except TimeoutError:
            self._bus.avoid()
        return confirmed.is_set()

    def unsubscribe(self, project_id: UUID) -> None:
        """Stops listening to a project."""
        self._wanted.pop(Keys.of(project_id).live, None)
        self._changed.set()

    def resubscribe(self, project_id: UUID) -> None:
        """Asks Redis once more for a channel on which nothing comes though events are published."""
        self._sent.discard(Keys.of(project_id).live)
        self._changed.set()

    async def run(self) -> None:
        """Connects and listens until the link is lost, which raises what ended it."""
        client = self._bus.dedicated(block_seconds=ECHO_SECONDS)
        pubsub = client.pubsub()
        self._sent.clear()
        for confirmed in self._wanted.values():
            confirmed.clear()
        try:
            # Redis confirms in order: when the probe is confirmed, the rooms' channels are, too.
            await self._subscribe_wanted(pubsub)
            await pubsub.ssubscribe(self._probe, self._control)
            self._heard_at = time.monotonic()
            await self._attend(client, pubsub)
        finally:
            self.is_up = False
            metrics.RECONNECTS.inc()
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
            missing, extra = self._wanted.keys() - self._sent, self._sent - self._wanted.keys()
            if not missing and not extra:
                return
            self._sent |= missing
            self._sent -= extra
            if extra:
                await pubsub.sunsubscribe(*extra)
            if missing:
                await pubsub.ssubscribe(*missing)

    async def _listen(self, pubsub: Any, beside: list[asyncio.Task[None]]) -> None:
        while time.monotonic() - self._heard_at < ECHO_SECONDS:
            for task in beside:
                if task.done():
                    task.result()
            message = await pubsub.get_message(timeout=PROBE_SECONDS)
            if message is None:
                continue
            channel = message["channel"].decode()
            if message["type"] == "ssubscribe":
                self._confirm(channel)
            elif channel == self._probe:
                self._heard_at = time.monotonic()
            else:
                self._deliver(channel, message)
        raise TimeoutError("the hub no longer hears its own probe")

    def _deliver(self, channel: str, message: dict[str, Any]) -> None:
        """Hands a message on. What is wrong with one costs its channel a comparison, and not the link."""
        try:
            if channel == self._control:
                self._on_control(message["data"])
            elif message["type"] == "smessage":
                self._on_message(channel, message["data"])
        except Exception as error:
            log.error("message.failed", channel=channel, error=repr(error), exc_info=error)
            self._on_connected()

    def _confirm(self, channel: str) -> None:
        if channel == self._probe:
            self.is_up = True
            self._on_connected()
        elif channel in self._wanted:
            self._wanted[channel].set()

    async def _keep_probing(self, client: Any) -> None:
        """Probes through this link's own client: another pool may be busy, and would say nothing of it."""
        while True:
            await client.spublish(self._probe, b"")
            await asyncio.sleep(PROBE_SECONDS)
