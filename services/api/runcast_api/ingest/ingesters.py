"""The ingesters of a process, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog
from pydantic import ValidationError

from runcast import contract
from runcast._support.ids import uuid7
from runcast_api import projects
from runcast_api.ingest.batches import Applier
from runcast_api.ingest.handlers import handlers
from runcast_api.ingest.ingester import Ingester
from runcast_api.ingest.leadership import Leadership
from runcast_api.ingest.leases import Leases
from runcast_api.ingest.slow_path import Handlers, RunlessHandler
from runcast_api.projects import ProjectNew
from runcast_api.storage.quotas import Admission
from runcast_server.auth.principal import Principal
from runcast_server.db import Database
from runcast_server.errors import Conflict
from runcast_server.service import Resources

_SERVER = Principal(name="server", is_admin=True)

log = structlog.get_logger(__name__)


def build_handlers(
    resources: Resources, runless: Mapping[str, RunlessHandler], admission: Admission
) -> Handlers:
    """What each type of message does; for the stream and for feeds that come over HTTP."""
    line_bytes = resources.settings.tailer.max_line_bytes
    return handlers(line_bytes=line_bytes, runless=runless, admission=admission)


def build(resources: Resources, types: Handlers) -> Leadership:
    """Leads this process's share of the streams. Its loops last as long as the process does."""
    slug = resources.settings.tailer.tail_project
    pool = resources.database.log

    making = asyncio.Lock()

    async def prepare() -> None:
        async with making:  # streams of the tailer begin together, and one project is enough
            await make_project(resources.database, slug)

    def ingester(stream: str) -> Ingester:
        return Ingester(
            resources.bus,
            pool,
            Applier(stream, resources.eventlog, types, resources.settings.api.ingest_secret),
            prepare=prepare if contract.is_tailers(stream) else None,
        )

    number = resources.settings.redis.ingest_streams
    return Leadership(Leases(pool, uuid7()), resources.bus, number, ingester)


async def make_project(database: Database, slug: str) -> None:
    """The project of run directories that name none, if there never was one of this name."""
    async with database.changing(_SERVER) as connection:
        if await connection.fetchval("SELECT true FROM projects WHERE slug = $1", slug):
            return
        try:
            new = ProjectNew(name=slug, slug=slug)
            await projects.create(connection, _SERVER, new, only_admins=True)
        except (ValidationError, Conflict) as error:
            log.warning("ingest.no_tail_project", slug=slug, error=str(error))
