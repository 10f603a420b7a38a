"""The one ASGI app of a process: it checks the Host, answers probes, and passes the rest on.

A request goes to the first service that handles its scope, with the server's own `send`: nothing
stands between a stream and its socket.
"""

import asyncio
import re
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from runcast_server.auth import Authenticator, bearer
from runcast_server.errors import PROBLEM_MEDIA_TYPE, Forbidden, NotFound, Problem
from runcast_server.service import Readiness, Service
from runcast_server.settings import ProcessSettings

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
PORT = re.compile(r":\d*$")
PROBES = frozenset({"/health", "/ready", "/metrics"})


class WrongHost(Problem):
    """A page of another site that was resolved to this machine (DNS rebinding), or a typing error."""

    status = 421
    type = "wrong-host"
    title = "Not served under this name"


class Front:
    """Set `stopping` when the process has been asked to end: `/ready` then fails."""

    def __init__(
        self, services: Sequence[Service], settings: ProcessSettings, authenticator: Authenticator
    ) -> None:
        self.stopping = False
        self._services = [service for service in services if service.app is not None]
        self._all = services
        self._hosts = _hosts(settings)
        self._metrics_public = settings.metrics_public
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if self._hosts and (refusal := self._wrong_host(scope)):
            return await _refuse(send, refusal)
        if scope["path"] in PROBES and scope["method"] in ("GET", "HEAD"):
            return await self._probe(scope, send)
        for service in self._services:
            if service.handles(scope):
                assert service.app is not None
                return await service.app(scope, receive, send)
        await _refuse(send, NotFound(f"nothing is served under {scope['path']}"))

    async def readiness(self) -> Readiness:
        """All services' readiness in one."""
        parts = await asyncio.gather(*(service.ready() for service in self._all))
        failing = {name: why for part in parts for name, why in part.failing.items()}
        degraded = {name: why for part in parts for name, why in part.degraded.items()}
        if self.stopping:
            failing["process"] = "stopping"
        return Readiness(failing, degraded)

    async def _probe(self, scope: Scope, send: Send) -> None:
        match scope["path"]:
            case "/health":
                await _answer(send, HTTPStatus.OK, _json({"status": "ok"}))
            case "/ready":
                await self._ready(send)
            case _:
                await self._metrics(scope, send)

    async def _ready(self, send: Send) -> None:
        found = await self.readiness()
        body = {
            "status": "failing" if found.failing else "ready",
            "failing": found.failing,
            "degraded": found.degraded,
        }
        status = HTTPStatus.SERVICE_UNAVAILABLE if found.failing else HTTPStatus.OK
        await _answer(send, status, _json(body), {"Retry-After": "2"} if found.failing else {})

    async def _metrics(self, scope: Scope, send: Send) -> None:
        if not self._metrics_public:
            try:
                principal = await self._authenticator.principal(bearer(Headers(scope=scope)))
                if not principal.is_admin:
                    raise Forbidden("only an administrator's key may read the metrics")
            except Problem as problem:
                return await _refuse(send, problem)
        await _answer(
            send, HTTPStatus.OK, generate_latest(REGISTRY), {"Content-Type": CONTENT_TYPE_LATEST}
        )

    def _wrong_host(self, scope: Scope) -> WrongHost | None:
        named = Headers(scope=scope).get("host", "")
        if PORT.sub("", named).strip("[]").lower() in self._hosts:
            return None
        return WrongHost(f"{named!r} is not one of RUNCAST_ALLOWED_HOSTS")


def _hosts(settings: ProcessSettings) -> frozenset[str]:
    """Names under which we answer. Empty, for any, where others than this machine may connect and
    no list was given: a gateway in front knows its names."""
    named = {name.strip().lower() for name in settings.allowed_hosts}
    if not named and settings.host not in LOOPBACK:
        return frozenset()
    public = urlsplit(settings.public_url or "").hostname
    return frozenset(named | LOOPBACK | {settings.host} | ({public} if public else set()))


def _json(body: object) -> bytes:
    return orjson.dumps(body)


async def _refuse(send: Send, problem: Problem) -> None:
    headers = {"Content-Type": PROBLEM_MEDIA_TYPE, **problem.headers()}
    await _answer(send, problem.status, _json(problem.body()), headers)


async def _answer(
    send: Send, status: int, body: bytes, headers: dict[str, str] | None = None
) -> None:
    given = {"Content-Type": "application/json", "Cache-Control": "no-store", **(headers or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in given.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
