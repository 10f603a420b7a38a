"""The API as a service of a process: the application, the ingester, the sweeper."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from importlib.metadata import version

import asyncpg
from starlette.types import Scope

from runcast_api import app
from runcast_api.accounts.container import People
from runcast_api.artifacts.store import ArtifactStore
from runcast_api.board.access import Workplaces
from runcast_api.dependencies import Api, RunDirectory
from runcast_api.http.body_intake import Bodies
from runcast_api.ingest import ingesters
from runcast_api.ingest.leadership import Leadership
from runcast_api.logs.closing import Closer
from runcast_api.logs.search_turns import SearchDatabase
from runcast_api.maintenance.due_work import DueWork
from runcast_api.maintenance.queues import Upkeep
from runcast_api.maintenance.sweeper import PARTITIONED, Sweeper
from runcast_api.mcp_door import McpDoor
from runcast_api.notifications import notifier as notifying
from runcast_api.otlp.silence import Silence
from runcast_api.outgoing.sender import Sender
from runcast_api.questions.expiry import Expiry
from runcast_api.questions.waiting import Waiters
from runcast_api.runs.liveness import Judge
from runcast_api.runtime import reporting
from runcast_api.runtime.feed import RuntimeFeed
from runcast_api.runtime.sink import RuntimeSink
from runcast_api.storage.compaction import Compactor
from runcast_api.storage.metrics import StorageMetrics
from runcast_api.storage.policy import Bounds
from runcast_api.storage.quotas import Quotas
from runcast_api.storage.retention import Keeper
from runcast_api.usage import prices
from runcast_api.usage.budgets import Budgets
from runcast_api.webhooks.sending import Dispatcher
from runcast_server import db_health, loops, outages
from runcast_server.auth import rate_limits, tokens
from runcast_server.db import ACCOUNTS_ROLE, LOG_ROLE, REQUEST_ROLE, acquire
from runcast_server.eventlog.publisher import Publisher
from runcast_server.loops import Loop
from runcast_server.redis_access.diagnosis import Diagnosis
from runcast_server.service import Readiness, Resources, Service

PROBE_SECONDS = 2.0
JUDGE_SECONDS = 1.0
CLOSE_SECONDS = 30.0
_UNPROTECTED = (
    "the database's owner may not end sessions of clients that were stopped: run `runcast migrate`, or "
    "GRANT pg_read_all_stats, pg_signal_backend to it"
)


def build(resources: Resources) -> Service:
    """The service, for the entry point `runcast.services`."""
    settings, database = resources.settings, resources.database
    sink = RuntimeSink(database.log)
    prices.load(settings.api.prices_file)
    bounds = Bounds.of(settings.api)
    quotas = Quotas(database.log, rate_limits.storage(resources.bus), bounds)
    resources.eventlog.listen(quotas.heard)
    handlers = ingesters.build_handlers(resources, reporting.handlers(sink), quotas)
    leadership = ingesters.build(resources, handlers)
    sender = Sender(settings.allows_private_webhooks)
    dispatcher = Dispatcher(database.log, sender, settings.base_url)
    resources.eventlog.listen(dispatcher.heard)
    notifier = notifying.build(resources, sender)
    store = ArtifactStore(settings.artifacts_url)
    authenticator = tokens.authenticator(database, settings.auth)
    api = Api(
        resources,
        authenticator,
        RunDirectory(database),
        store,
        handlers,
        Workplaces(database),
        sink,
        RuntimeFeed(database.log, settings.api.run_heartbeat_s),
        People.build(resources),
        bounds,
        quotas,
        Waiters(settings.postgres.database_url or "", database.log),
        SearchDatabase.of(database),
        Bodies(authenticator),
        dispatcher,
        notifier,
    )
    publisher = Publisher(resources.bus, database.log)
    sweeper = Sweeper(
        database.log, resources.bus, publisher, store, settings.api.runtime_retention_days
    )
    keeper = Keeper(
        database.log, bounds, settings.api.reject_retention_days, settings.api.audit_retention_days
    )
    heartbeat_seconds = settings.api.run_heartbeat_s
    judge = Judge(database.log, resources.eventlog, heartbeat_seconds, time.monotonic())
    upkeep = Upkeep(database.log, resources.eventlog, sink)
    all_loops = [
        *leadership.loops(),
        *sweeper.loops(),
        *keeper.loops(),
        *Compactor(database.log).loops(),
        *quotas.loops(),
        *StorageMetrics(database.log).loops(),
        Loop("liveness", judge.judge, JUDGE_SECONDS),
        Loop("log closing", Closer(database.log, resources.eventlog).close, CLOSE_SECONDS),
        *upkeep.loops(),
        *DueWork.of(
            database.log,
            upkeep.timed(),
            Expiry(database.log, resources.eventlog).timed(),
            Budgets(database.log, resources.eventlog).timed(),
            dispatcher.timed(),
            notifier.timed(),
        ).loops(),
        *Silence(database.log, resources.eventlog).loops(),
        *api.waiters.loops(),
        *dispatcher.loops(),
        *notifier.loops(),
    ]

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[None]:
        door: McpDoor = application.state.mcp
        async with (
            sink.running(),
            leadership.giving_back(),
            loops.running(all_loops),
            door.running(),
        ):
            try:
                yield
            finally:
                await api.demos.stop()
                await api.feed.stop()
                await notifier.stop()
                await dispatcher.stop()
                await api.people.requests.close()
                await publisher.close()

    async def drain(_: float) -> None:
        api.waiters.release()
        await api.demos.stop()
        await api.feed.stop()

    diagnosis = resources.bus.diagnosis()

    async def ready() -> Readiness:
        return await _readiness(resources, leadership, all_loops, diagnosis)

    application = app.create(api, version("runcast"))
    return Service("api", application, _handles, running, drain, ready)


def _handles(scope: Scope) -> bool:
    """Everything that no other service of the process takes."""
    return bool(scope["type"] == "http")


async def _readiness(
    resources: Resources,
    leadership: Leadership,
    all_loops: list[Loop],
    diagnosis: Diagnosis,
) -> Readiness:
    """Without Postgres nothing works; without Redis events come late, and nothing is ingested from it."""
    found = loops.readiness(all_loops)
    failing, degraded = dict(found.failing), dict(found.degraded)
    if leadership.trouble:
        degraded["ingest"] = leadership.trouble
    refused, (why, less) = await asyncio.gather(
        db_health.refusal(
            resources.database, (LOG_ROLE, REQUEST_ROLE, ACCOUNTS_ROLE), may_be_away=False
        ),
        _postgres_trouble(resources),
    )
    if (replica := resources.database.replica) is not None and replica.trouble:
        degraded["replica"] = f"reads go to the primary: {replica.trouble}"
    if refused is not None:
        failing["roles"] = refused
    if why is not None:
        failing["postgres"] = why
    if less is not None:
        degraded["stuck sessions"] = less
    if why := await _redis_trouble(resources):
        degraded["redis"] = why
        return Readiness(failing, degraded)
    return Readiness(failing, degraded, await diagnosis.warnings())


async def _postgres_trouble(resources: Resources) -> tuple[str | None, str | None]:
    """What keeps Postgres from serving, and what of it is only not as it should be."""
    database = resources.database
    try:
        async with asyncio.timeout(PROBE_SECONDS), acquire(database.log) as connection:
            if await connection.fetchval("SHOW transaction_read_only") == "on":
                for pool in (database.log, database.requests):
                    await pool.expire_connections()
                return "the database is read-only: a standby, or a primary that was demoted", None
            for table in PARTITIONED:
                has_room = await connection.fetchval(
                    "SELECT has_partition($1::text::regclass, now() + interval '1 day')", table
                )
                if not has_room:
                    return f"{table} has no partition for tomorrow", None
            if not await connection.fetchval("SELECT may_end_stuck_sessions()"):
                return None, _UNPROTECTED
    except (asyncpg.PostgresError, *outages.ANY) as error:
        return outages.line_of(error), None
    return None, None


async def _redis_trouble(resources: Resources) -> str | None:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await resources.bus.check()
    except outages.REDIS as error:
        return outages.line_of(error)
    return None
