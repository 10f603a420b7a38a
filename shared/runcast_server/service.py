"""What a process needs to know of a service, and what a service gets from its process.

Services are found by the entry points of the group `runcast.services`, each a
`build(resources) -> Service`; so the process composes all of them, or runs one, and no service
imports another.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Scope

from runcast_server.db import Database
from runcast_server.eventlog.bus import Bus
from runcast_server.eventlog.log import EventLog
from runcast_server.settings import ServerSettings
from runcast_server.tracing.spans import Tracer


@dataclass(frozen=True)
class Readiness:
    """Each part that is down, with its reason: `failing` stops the job, `degraded` only slows it. `warnings`
    name what works now and would hurt later."""

    failing: dict[str, str] = field(default_factory=dict)
    degraded: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Resources:
    """Opened once by the process and passed down."""

    settings: ServerSettings
    database: Database
    bus: Bus
    eventlog: EventLog
    tracer: Tracer | None = None


@dataclass(frozen=True)
class Service:
    """One of `api`, `hub` and `tailer`.

    `app` is None where no HTTP is served. `handles` says whether a scope (its method and path) is
    this service's; the first service that says so gets it. `running` holds the background work and
    lasts as long as the process serves. `drain` is called at SIGTERM or Ctrl-C, before the
    listener's connections are closed, and ends open streams within the seconds that it's given.
    `ready` never raises for a part that is down: it names it.
    """

    name: str
    app: ASGIApp | None
    handles: Callable[[Scope], bool]
    running: Callable[[], AbstractAsyncContextManager[None]]
    drain: Callable[[float], Awaitable[None]]
    ready: Callable[[], Awaitable[Readiness]]
    has_streams: bool = False
    """Whether its answers last and write past `send`: nothing may stand between them and their sockets."""


Build = Callable[[Resources], Service]
