"""The tailer as a service of a process: no HTTP of its own, one task."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from runcast_server import db_health, loops, owners
from runcast_server.db import LOG_ROLE
from runcast_server.loops import Loop
from runcast_server.service import Readiness, Resources, Service
from runcast_tailer.file_reader import FollowLimits
from runcast_tailer.options import TailerOptions
from runcast_tailer.queries import Server
from runcast_tailer.shipper import Shipper
from runcast_tailer.supervisor import RETRY_SECONDS, Supervisor


def build(resources: Resources) -> Service:
    """The service, for the entry point `runcast.services`."""
    shipper = Shipper(resources.bus.client, resources.settings.redis.ingest_streams)
    supervisor = Supervisor(options(resources), Server(resources.database.log), shipper)

    following = Loop("tailer", supervisor.run, RETRY_SECONDS, limit_seconds=None)

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with loops.running([following]):
            yield

    async def drain(_: float) -> None:
        pass

    async def ready() -> Readiness:
        trouble = supervisor.trouble or shipper.trouble
        found = following.readiness()
        if why := await db_health.refusal(resources.database, (LOG_ROLE,)):
            return Readiness({**found.failing, "roles": why}, found.degraded)
        return Readiness(found.failing, {"tailer": trouble} if trouble else found.degraded)

    return Service("tailer", None, lambda _: False, running, drain, ready)


def options(resources: Resources) -> TailerOptions:
    """The settings, in the tailer's own words."""
    settings = resources.settings.tailer
    secret = resources.settings.api.ingest_secret
    return TailerOptions(
        runs_dir=settings.runs_dir,
        roots=settings.roots,
        project=settings.tail_project,
        poll_seconds=settings.tail_poll_ms / 1_000,
        wait_seconds=settings.tail_wait_s,
        limits=FollowLimits(line_bytes=settings.max_line_bytes),
        zone=settings.tail_tz,
        auth=secret.get_secret_value() if secret else None,
        artifacts_url=resources.settings.artifacts_url,
        owners=owners.read(settings.tail_owners),
        streams=resources.settings.redis.ingest_streams,
    )
