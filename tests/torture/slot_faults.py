"""What happens to a Redis Cluster: primaries that die or hang, planned failovers, slots that move, clients
that are cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import UUID

import httpx

from runcast_server.eventlog.bus import Keys
from tests.redis_cluster import Node, RedisCluster
from tests.torture import faults
from tests.torture.faults import Stage, fault, must
from tests.torture.programs import wait

FAULTS = faults.FAULTS
"""All kinds, those of this file included."""


@contextlib.asynccontextmanager
async def _alone(stage: Stage) -> AsyncIterator[RedisCluster]:
    """One of these at a time; afterwards the cluster is whole."""
    slots = stage.cluster.slots
    assert slots is not None
    async with stage.lock("redis"):
        try:
            yield slots
        finally:
            await asyncio.to_thread(slots.settle)


async def _holder(stage: Stage, slots: RedisCluster) -> tuple[Node, str]:
    """The primary of the project that everyone writes to, in the half of the cases, or another; and a key."""
    headers = {"Authorization": f"Bearer {stage.cluster.token}"}
    async with httpx.AsyncClient(headers=headers, timeout=5.0) as client:
        api = stage.chance.choice(stage.cluster.apis)
        found = await client.get(f"{api.url}/projects/torture")
    key = Keys.of(UUID(found.json()["id"])).live
    if stage.chance.random() < 0.5:
        return slots.holder(key), key
    return stage.chance.choice(slots.primaries), key


@fault("slots killed")
async def slots_killed(stage: Stage) -> str:
    """The replica takes over by itself; the one that died comes back as its replica."""
    async with _alone(stage) as slots:
        node, _ = await _holder(stage, slots)
        replica = slots.replica_of(node)
        await asyncio.to_thread(node.kill)
        await asyncio.to_thread(wait, lambda: replica.is_primary, "the replica takes over", 30.0)
        return f"{node.port} killed, {replica.port} has its slots"


@fault("slots paused")
async def slots_paused(stage: Stage) -> str:
    """Shorter or longer than it takes the others to give its slots away."""
    async with _alone(stage) as slots:
        node, _ = await _holder(stage, slots)
        seconds = stage.chance.uniform(0.3, 5.0)
        node.pause()
        try:
            await asyncio.sleep(seconds)
        finally:
            node.resume()
        return f"{node.port} for {seconds:.1f} s"


@fault("slots failed over")
async def slots_failed_over(stage: Stage) -> str:
    async with _alone(stage) as slots:
        node, _ = await _holder(stage, slots)
        new = await asyncio.to_thread(slots.fail_over, node)
        return f"from {node.port} to {new.port}"


@fault("slots moved")
async def slots_moved(stage: Stage) -> str:
    async with _alone(stage) as slots:
        _, key = await _holder(stage, slots)
        old, new = await asyncio.to_thread(slots.move_slot, key)
        must(old is not new, "it stayed where it was")
        return f"the project's, from {old.port} to {new.port}"


@fault("slots cut clients")
async def slots_cut_clients(stage: Stage) -> str:
    async with _alone(stage) as slots:
        cut = 0
        for node in slots.primaries:
            for kind in ("pubsub", "normal"):
                cut += int(node.ask("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"))
        must(cut, "no one was connected")
        return f"{cut} connections"


@fault("slots emptied")
async def slots_emptied(stage: Stage) -> str:
    async with _alone(stage) as slots:
        node, _ = await _holder(stage, slots)
        keys = node.ask("DBSIZE")
        node.ask("FLUSHALL")
        return f"{keys} keys of {node.port} gone"
