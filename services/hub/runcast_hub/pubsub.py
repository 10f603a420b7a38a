"""The hub's link to Redis: a connection to each server that holds live channels.

The link never decides about history; it only says when to look. Rooms say which channels they want. On a
cluster, each channel is wanted of the primary that holds its slot, as the cluster says it; that is asked
every few seconds, and at once when a connection was lost or a server took a channel away because its slot
moved. What may have been missed meanwhile, comparing with Postgres finds.

A connection each, and not redis-py's cluster pub/sub: that one polls its servers in turn (a message waited
1.8 s in the middle) and closes connections under the task that reads them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from uuid import UUID

import structlog

from runcast._support.redis_url import Host
from runcast_hub.node_link import ECHO_SECONDS, Ears, NodeLink
from runcast_server import outages, tasks
from runcast_server.eventlog.bus import Bus, Keys
from runcast_server.loops import Loop
from runcast_server.redis_access.topology import ALONE, Topology

RECONNECT_SECONDS = 0.5
TOPOLOGY_SECONDS = 2.0
"""How often a cluster is asked who holds which slot."""
SUBSCRIBE_SECONDS = 0.5
"""How long a stream's opening waits for Redis to confirm its channel. A Redis that doesn't answer costs no
more than that: the channel is subscribed later, and comparing with Postgres covers the time until then."""

log = structlog.get_logger()


def control_channel(hub_id: str) -> str:
    """Where a hub hears from the others."""
    return f"runcast:{{hub:{hub_id}}}:control"


class Link:
    """Receives the live messages of the channels that rooms ask for.

    `on_message` gets every live message, `on_control` what other hubs say; `on_connected` is called after
    each (re)connection and each channel that moved, when messages may have been missed.
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
        self._hub_id = hub_id
        self._control = control_channel(hub_id)
        self._on_message = on_message
        self._on_control = on_control
        self._on_connected = on_connected
        self._wanted = {self._control: asyncio.Event()}
        """The channels that are wanted; the event is set once Redis has confirmed one."""
        self._moved: set[str] = set()
        """Those that a server took away, until they are confirmed again."""
        self._topology = Topology(())
        self._nodes: dict[Host, NodeLink] = {}
        self._loops: dict[Host, Loop] = {}
        self._stale = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """Whether every server that holds channels is connected."""
        return bool(self._nodes) and all(node.is_up for node in self._nodes.values())

    @property
    def trouble(self) -> str | None:
        """Which servers are not connected, and why, where that is known."""
        away = [
            " ".join([*_name(server), self._loops[server].last_error or "not connected yet"])
            for server, node in self._nodes.items()
            if not node.is_up
        ]
        return "; ".join(away) or None

    # ------------------------------------------------------------------ what rooms ask for

    async def subscribe(self, project_id: UUID) -> bool:
        """Listens to a project's live channel; False when Redis didn't confirm in time (it will be
        subscribed as soon as possible)."""
        channel = Keys.of(project_id).live
        confirmed = self._wanted.setdefault(channel, asyncio.Event())
        node = self._node_of(channel)
        if node is not None:
            node.add(channel)
        if node is None or not node.is_up or self._bus.is_avoided:
            return False
        try:
            async with asyncio.timeout(SUBSCRIBE_SECONDS):
                await confirmed.wait()
        except TimeoutError:
            self._bus.avoid()
        return confirmed.is_set()

    def unsubscribe(self, project_id: UUID) -> None:
        """Stops listening to a project."""
        channel = Keys.of(project_id).live
        self._wanted.pop(channel, None)
        self._moved.discard(channel)
        if (node := self._node_of(channel)) is not None:
            node.remove(channel)

    def resubscribe(self, project_id: UUID) -> None:
        """Asks Redis once more for a channel on which nothing comes though events are published."""
        channel = Keys.of(project_id).live
        if (node := self._node_of(channel)) is not None:
            node.ask_again(channel)
        self._stale.set()

    def _node_of(self, channel: str) -> NodeLink | None:
        owner = self._topology.owner(channel)
        return None if owner is None else self._nodes.get(owner)

    # ------------------------------------------------------------------ following the servers

    async def run(self) -> None:
        """Keeps a connection to each server, until it's cancelled. Raises where none is known and Redis can't
        be asked."""
        try:
            while True:
                self._stale.clear()
                await self._look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_seconds()):
                        await self._stale.wait()
                # A server that takes many channels away says so one by one.
                await asyncio.sleep(0.05)
        finally:
            ending = [loop.task for loop in self._loops.values() if loop.task is not None]
            self._nodes.clear()
            self._loops.clear()
            self._topology = Topology(())
            await tasks.end(*ending)

    def _pause_seconds(self) -> float | None:
        if not self._bus.is_cluster:
            return None
        return TOPOLOGY_SECONDS if self.is_up else RECONNECT_SECONDS

    async def _look(self) -> None:
        try:
            topology = await self._bus.topology()
        except outages.REDIS as error:
            if not self._nodes:
                raise
            log.warning("link.topology_unknown", error=str(error))
            return
        if topology != self._topology:
            await self._follow(topology)
        elif self._moved:
            self._route()

    async def _follow(self, topology: Topology) -> None:
        """Connects to new primaries and lets go of those that are none any more."""
        self._topology = topology
        gone = self._nodes.keys() - topology.servers
        ending = [self._loops.pop(server).task for server in gone]
        for server in gone:
            del self._nodes[server]
        for server in topology.servers - self._nodes.keys():
            self._nodes[server] = self._node(server)
        self._route()
        for server in topology.servers - self._loops.keys():
            self._loops[server] = self._loop(server)
        await tasks.end(*(task for task in ending if task is not None))

    def _node(self, server: Host) -> NodeLink:
        return NodeLink(
            partial(self._bus.dedicated, block_seconds=ECHO_SECONDS, server=server),
            lambda: self._topology.tag_at(server, f"hub:{self._hub_id}"),
            Ears(self._confirm, self._lose, self._hear, self._on_connected, self._stale.set),
            is_one_of_many=server != ALONE,
        )

    def _loop(self, server: Host) -> Loop:
        run = self._nodes[server].run
        loop = Loop(" ".join(["redis", *_name(server)]), run, RECONNECT_SECONDS, limit_seconds=None)
        loop.task = asyncio.create_task(loop.run(), name=loop.name)
        return loop

    def _route(self) -> None:
        """Wants each channel of the server that holds it now."""
        wanted: dict[Host, set[str]] = {server: set() for server in self._nodes}
        for channel, confirmed in self._wanted.items():
            owner = self._topology.owner(channel)
            if owner is None or owner not in wanted:
                continue
            wanted[owner].add(channel)
            if confirmed.is_set() and not self._nodes[owner].wants(channel):
                self._moved.add(channel)
                confirmed.clear()
        for server, node in self._nodes.items():
            node.want(wanted[server])

    # ------------------------------------------------------------------ what connections tell

    def _confirm(self, channel: str) -> None:
        if channel in self._wanted:
            self._wanted[channel].set()
        if channel in self._moved:
            self._moved.discard(channel)
            self._on_connected()

    def _lose(self, channel: str) -> None:
        if channel in self._wanted:
            self._wanted[channel].clear()
            self._moved.add(channel)
            self._stale.set()

    def _hear(self, channel: str, data: bytes) -> None:
        if channel == self._control:
            self._on_control(data)
        else:
            self._on_message(channel, data)


def _name(server: Host) -> list[str]:
    """What a server is called in messages: nothing, where it's the only one."""
    return [] if server == ALONE else [f"{server[0]}:{server[1]}"]
