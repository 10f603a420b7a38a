"""What a process measures of itself while it serves: event loop, memory, connections, readiness."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Set
from importlib.metadata import version
from pathlib import Path

from prometheus_client import Gauge

from runcast_server import loops, metrics
from runcast_server.db import Database
from runcast_server.loops import Loop
from runcast_server.service import Readiness

LAG_SECONDS = 0.5
LOOK_SECONDS = 10.0

_STATM = Path("/proc/self/statm")


class Vitals:
    """Measures one process; `readiness` asks its services."""

    def __init__(self, database: Database, readiness: Callable[[], Awaitable[Readiness]]) -> None:
        self._database = database
        self._readiness = readiness
        self._cpu = 0.0
        self._failing = _Parts(metrics.FAILING)
        self._degraded = _Parts(metrics.DEGRADED)

    @contextlib.asynccontextmanager
    async def measured(self) -> AsyncIterator[None]:
        """Measures for as long as the block lasts."""
        metrics.STARTS.inc()
        metrics.PROCESSES.set(1)
        metrics.BUILD.labels(version("runcast"), platform.python_version()).set(1)
        looking = [Loop("lag", self._lag, 0.0), Loop("vitals", self._look, LOOK_SECONDS)]
        async with loops.running(looking):
            yield

    async def _lag(self) -> None:
        """On the beat of all loops, so that looking wakes nothing up that would rest."""
        loop, moment = asyncio.get_running_loop(), loops.next_beat(LAG_SECONDS)
        await asyncio.sleep(moment - loop.time())
        metrics.LOOP_LAG.observe(max(0.0, loop.time() - moment))

    async def _look(self) -> None:
        cpu = time.process_time()
        metrics.CPU_SECONDS.inc(max(0.0, cpu - self._cpu))
        self._cpu = cpu
        metrics.RESIDENT_BYTES.set(resident_bytes())
        for name, pool in self._database.pools.items():
            idle, size = pool.get_idle_size(), pool.get_size()
            metrics.POOL_CONNECTIONS.labels(name, "idle").set(idle)
            metrics.POOL_CONNECTIONS.labels(name, "used").set(size - idle)
        found = await self._readiness()
        self._failing.mark(found.failing.keys())
        self._degraded.mark(found.degraded.keys())


class _Parts:
    """A gauge that is 1 for each part that is named now, and 0 for those that were named before."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._known: set[str] = set()

    def mark(self, named: Set[str]) -> None:
        self._known |= named
        for part in self._known:
            self._gauge.labels(part).set(1 if part in named else 0)


def resident_bytes() -> int:
    """The memory that this process takes; 0 where the system doesn't say."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
