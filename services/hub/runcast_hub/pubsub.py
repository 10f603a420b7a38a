"""The hub's one pub/sub connection, and how it knows that the connection lives.

Pub/sub has no delivery promise and a dead link looks like silence. So the hub publishes a probe to
itself every second, and a missing echo means: connect anew, subscribe again, and let every room compare
its head with Postgres. The link never decides about history; it only says when to look.
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
SUBSCRIBE_SECONDS = 3.0

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
        self._channels: set[str] = set()
        self._confirmed: dict[str, asyncio.Event] = {}
        self._pubsub: Any = None
        self._heard_at = 0.0
        self.is_up = False

    async def subscribe(self, project_id: UUID) -> bool:
        """Listens to a project's live channel; False when Redis didn't confirm in time (it will be
        subscribed with the next connection)."""
        channel = Keys.of(project_id).live
        self._channels.add(channel)
        confirmed = self._confirmed.setdefault(channel, asyncio.Event())
        if self._pubsub is None:
            return False
        try:
            async with asyncio.timeout(SUBSCRIBE_SECONDS):
                await self._pubsub.ssubscribe(channel)
                await confirmed.wait()
        except outages.REDIS:
            return False
        return True

    async def unsubscribe(self, project_id: UUID) -> None:
        """Stops listening to a project."""
        channel = Keys.of(project_id).live
        self._channels.discard(channel)
        self._confirmed.pop(channel, None)
        if self._pubsub is not None:
            with contextlib.suppress(*outages.REDIS):
                await self._pubsub.sunsubscribe(channel)

    async def run(self) -> None:
        """Connects and listens until the link is lost, which raises what ended it."""
        try:
            await self._session()
        finally:
            self.is_up = False
            self._pubsub = None
            metrics.RECONNECTS.inc()

    async def _session(self) -> None:
        client = self._bus.dedicated(block_seconds=ECHO_SECONDS)
        pubsub = client.pubsub()
        try:
            await pubsub.ssubscribe(self._probe, self._control, *self._channels)
            self._pubsub = pubsub
            self._heard_at = time.monotonic()
            prober = asyncio.create_task(self._keep_probing())
            try:
                await self._listen(pubsub, prober)
            finally:
                await tasks.end(prober)
        finally:
            with contextlib.suppress(*outages.REDIS):
                await pubsub.aclose()
                await client.aclose()

    async def _listen(self, pubsub: Any, prober: asyncio.Task[None]) -> None:
        while time.monotonic() - self._heard_at < ECHO_SECONDS:
            if prober.done():
                prober.result()
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
        elif channel in self._confirmed:
            self._confirmed[channel].set()

    async def _keep_probing(self) -> None:
        while True:
            await self._bus.client.spublish(self._probe, b"")
            await asyncio.sleep(PROBE_SECONDS)
