"""Streams opened and closed over and over: `python -m tests.torture.leaks --connections 100000`.

In every way in which a client goes: before the answer, after the first bytes, in the middle of what is
sent, by a clean end or a reset. Afterwards the hub must hold what it held before: memory, descriptors,
connections, leases. Exit code 1 when it doesn't.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import socket
import struct
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvloop

from tests.torture.cluster import Cluster
from tests.torture.faults import metric
from tests.torture.programs import Service

AT_ONCE = 100
LINGER = struct.pack("ii", 1, 0)
"""Closing resets the connection."""
SETTLE_SECONDS = 20.0


@dataclass(frozen=True)
class Held:
    """What a hub holds at a moment."""

    memory_mb: float
    descriptors: int
    connections: float
    leases: int

    def __str__(self) -> str:
        return (
            f"{self.memory_mb:.1f} MB, {self.descriptors} descriptors, "
            f"{self.connections:.0f} connections, {self.leases} leases"
        )


async def held(cluster: Cluster, hub: Service) -> Held:
    """Reads it from the system, the hub's metrics, and Redis."""
    with cluster.redis_client() as client:
        leases = sum(client.hlen(key) for key in client.scan_iter("runcast:lease:*"))
    return Held(
        _memory_mb(hub),
        len(os.listdir(f"/proc/{hub.pid}/fd")),
        await metric(cluster, hub, "runcast_hub_connections") or 0.0,
        leases,
    )


def _memory_mb(hub: Service) -> float:
    status = Path(f"/proc/{hub.pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(resident.split()[1]) / 1024


async def open_and_close(cluster: Cluster, hub: Service, path: str, chance: random.Random) -> None:
    """One client that comes and goes."""
    link = socket.socket()
    link.setblocking(False)
    loop = asyncio.get_running_loop()
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{hub.port}\r\n"
        f"Authorization: Bearer {cluster.token}\r\n\r\n"
    )
    try:
        await loop.sock_connect(link, ("127.0.0.1", hub.port))
        await loop.sock_sendall(link, request.encode())
        leaves = chance.choice(["at once", "after a moment", "answered", "answered", "answered"])
        if leaves == "after a moment":
            await asyncio.sleep(chance.uniform(0, 0.01))
        elif leaves == "answered":
            await loop.sock_recv(link, 65_536)
        if chance.random() < 0.5:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
    except OSError:
        pass
    finally:
        link.close()


async def churn(cluster: Cluster, hub: Service, path: str, number: int, seed: int = 1) -> None:
    """That many clients, some at a time."""
    left = iter(range(number))

    async def keep_coming(name: int) -> None:
        chance = random.Random(f"{seed} {name}")
        for _ in left:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(20):
                    await open_and_close(cluster, hub, path, chance)

    await asyncio.gather(*(keep_coming(name) for name in range(AT_ONCE)))


async def settled(cluster: Cluster, hub: Service) -> Held:
    """What it holds when the last ones are gone."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        now = await held(cluster, hub)
        if (now.connections == 0 and now.leases == 0) or time.monotonic() > deadline:
            return now
        await asyncio.sleep(0.2)


async def measure(cluster: Cluster, number: int, warm_up: int) -> tuple[Held, Held]:
    """What the first hub holds after `warm_up` connections, and after `number` more."""
    hub = cluster.hubs[0]
    headers = {"Authorization": f"Bearer {cluster.token}"}
    async with httpx.AsyncClient(base_url=cluster.apis[0].url, headers=headers) as http:
        project = (await http.post("/projects", json={"name": "leaks"})).json()["id"]
        run = (await http.post(f"/projects/{project}/runs", json={})).json()["id"]
        await http.post(f"/runs/{run}/logs", json=[{"message": "m" * 200}] * 500)
    path = f"/projects/{project}/events?subscribe_logs=all&last_event_id=0"
    await churn(cluster, hub, path, warm_up)
    before = await settled(cluster, hub)
    await churn(cluster, hub, path, number, seed=2)
    return before, await settled(cluster, hub)


def leaked(before: Held, after: Held, number: int) -> list[str]:
    """What is more than it was, in words.

    Memory may grow by 200 bytes a connection beyond what an allocator keeps, and a pool by a connection
    for each client that came at the same time.
    """
    allowed = 6.0 + number * 200 / 1e6
    found = []
    if after.memory_mb - before.memory_mb > allowed:
        found.append(f"memory grew by {after.memory_mb - before.memory_mb:.1f} MB")
    if after.descriptors > before.descriptors + AT_ONCE:
        found.append(f"descriptors went from {before.descriptors} to {after.descriptors}")
    if after.connections:
        found.append(f"{after.connections:.0f} connections are left")
    if after.leases:
        found.append(f"{after.leases} leases are left")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.leaks", description=__doc__)
    parser.add_argument("--connections", type=int, default=100_000)
    number: int = parser.parse_args().connections
    root = Path(tempfile.mkdtemp(prefix="runcast-leaks-"))
    cluster = Cluster(root, apis=1, hubs=1, tailers=0)
    try:
        cluster.start(RUNCAST_SSE_MAX_CONNECTIONS_PER_KEY="1000000")
        began = time.monotonic()
        before, after = uvloop.run(measure(cluster, number, warm_up=2_000))
    finally:
        cluster.stop()
        shutil.rmtree(root, ignore_errors=True)
    sys.stdout.write(f"{number:,} connections in {time.monotonic() - began:.0f} s\n")
    sys.stdout.write(f"  before  {before}\n  after   {after}\n")
    wrong = leaked(before, after, number)
    sys.stdout.write("".join(f"  LEAKED: {text}\n" for text in wrong) or "nothing leaked\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
