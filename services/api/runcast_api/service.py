"""The API as a service of a process: the application, the ingester and the sweeper."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version

from starlette.types import Scope

from runcast_api import app
from runcast_api.artifact_store import ArtifactStore
from runcast_api.ingest import start
from runcast_api.state import Api, RunDirectory
from runcast_server.auth import ApiKeys, Authenticator, SecretJwt, TokenReader
from runcast_server.service import Readiness, Resources, Service


def build(resources: Resources) -> Service:
    """The service, for the entry point `runcast.services`."""
    handlers = start.build_handlers(resources)
    ingester = start.build(resources, handlers)
    api = Api(
        resources,
        authenticator(resources),
        RunDirectory(resources.database),
        ArtifactStore(resources.settings.artifacts_url),
        handlers,
    )
    application = app.create(api, version("runcast"))

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[None]:
        ingesting = asyncio.create_task(ingester.run())
        try:
            yield
        finally:
            await api.demos.stop()
            ingesting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ingesting

    async def drain(_: float) -> None:
        await api.demos.stop()

    async def ready() -> Readiness:
        return Readiness(degraded={"ingest": ingester.trouble} if ingester.trouble else {})

    return Service("api", application, _handles, running, drain, ready)


def authenticator(resources: Resources) -> Authenticator:
    """Who is believed: API keys, and tokens signed with our secret where one is set."""
    readers: list[TokenReader] = [ApiKeys(resources.database)]
    if secret := resources.settings.auth.jwt_secret:
        readers.append(SecretJwt(resources.database, secret.get_secret_value()))
    return Authenticator(*readers)


def _handles(scope: Scope) -> bool:
    """Everything that no other service of the process takes."""
    return bool(scope["type"] == "http")
