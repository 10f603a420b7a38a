"""The hub as its process sees it."""

from __future__ import annotations

from runcast_hub import connections
from runcast_hub.app import App
from runcast_hub.hub import Hub
from runcast_server import db_health, loops
from runcast_server.auth import rate_limits, tokens
from runcast_server.auth.rate_limits import RequestLimits
from runcast_server.db import LOG_ROLE, REQUEST_ROLE
from runcast_server.service import Readiness, Resources, Service


def build(resources: Resources) -> Service:
    """The hub service on these resources."""
    hub = Hub(
        resources.settings.hub,
        resources.database,
        resources.bus,
        connections.answer,
        has_neighbours=resources.settings.process.workers > 1,
        tracer=resources.tracer,
    )
    resources.eventlog.listen(hub.hear)
    settings = resources.settings.auth
    limits = RequestLimits.configured(rate_limits.storage(resources.bus), settings)
    app = App(hub, tokens.authenticator(resources.database, settings), limits)

    diagnosis = resources.bus.diagnosis()

    async def ready() -> Readiness:
        found = loops.readiness(hub.loops)
        failing, degraded = dict(found.failing), dict(found.degraded)
        degraded.pop("redis", None)
        if (replica := resources.database.replica) is not None and replica.trouble:
            degraded["replica"] = f"reads go to the primary: {replica.trouble}"
        if why := await db_health.refusal(resources.database, (LOG_ROLE, REQUEST_ROLE)):
            failing["roles"] = why
        if not hub.link.is_up:
            why = f" ({hub.link.trouble})" if hub.link.trouble else ""
            degraded["redis"] = f"no live messages{why}; events are polled from Postgres"
            if error := degraded.get("postgres"):
                failing["delivery"] = f"neither Redis nor Postgres can be read: {error}"
        return Readiness(failing, degraded, await diagnosis.warnings())

    return Service("hub", app, app.handles, hub.running, hub.drain, ready, has_streams=True)
