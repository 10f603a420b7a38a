"""The one ASGI app of a process: it checks Host, Origin and sizes, answers probes, passes the rest on.

A request goes to the first service that handles its scope, with the server's own scope and `send`:
nothing stands between a stream and its socket.
"""

import asyncio
import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

import orjson
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from runcast.contract import API_VERSION
from runcast_server import deprecations
from runcast_server.auth import origins
from runcast_server.auth.origins import Origins
from runcast_server.auth.principal import Authenticator, presented
from runcast_server.deprecations import Deprecations
from runcast_server.errors import PROBLEM_MEDIA_TYPE, Forbidden, NotFound, Problem
from runcast_server.process import exposition, requests, slow_refusals
from runcast_server.process.slow_refusals import SlowRefusals
from runcast_server.service import Readiness, Service
from runcast_server.settings import ProcessSettings
from runcast_server.tracing import spans
from runcast_server.tracing.spans import Tracer

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
PORT = re.compile(r":\d*$")
PROBES = frozenset({"/health", "/ready", "/metrics"})
MAX_HEADER_BYTES = 32 * 1024
MAX_ADDRESS_BYTES = 16 * 1024


class WrongHost(Problem):
    """A page of another site that was resolved to this machine (DNS rebinding), or a typing error."""

    status = 421
    type = "wrong-host"
    title = "Not served under this name"


class UnclearHost(Problem):
    """HTTP/1.1 asks for exactly one `Host` (RFC 9112, section 3.2)."""

    status = 400
    type = "unclear-host"
    title = "The request must name one host"


class UnknownVersion(Problem):
    """The client asked for a version of the API that isn't spoken here; `detail` names the one that is."""

    status = 400
    type = "unknown-version"
    title = "Not a version of this API"


class HeadersTooLarge(Problem):
    """More headers than anybody needs."""

    status = 431
    type = "headers-too-large"
    title = "The request's headers are too large"


class AddressTooLong(Problem):
    """A longer path and query than anybody needs; `detail` names the limit."""

    status = 414
    type = "address-too-long"
    title = "The address is too long"


class Front:
    """Set `stopping` when the process has been asked to end: `/ready` then fails."""

    def __init__(
        self,
        services: Sequence[Service],
        settings: ProcessSettings,
        authenticator: Authenticator,
        tracer: Tracer | None = None,
    ) -> None:
        self.stopping = False
        self._services = [service for service in services if service.app is not None]
        self._all = services
        self._hosts = _hosts(settings)
        self._origins = Origins.of(settings.cors_origins, settings.public_url)
        self._metrics_public = settings.metrics_public
        self._authenticator = authenticator
        self._deprecations = Deprecations(deprecations.DEPRECATED)
        self._counts = requests.Counts()
        self._tracer = tracer
        self._refusals = SlowRefusals()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        requests.begin(scope)
        scope[slow_refusals.SCOPE] = self._refusals
        try:
            self._check(scope)
        except Problem as refusal:
            return await _refuse(scope, send, refusal)
        if origins.is_preflight(scope):
            return await _send(send, HTTPStatus.NO_CONTENT, b"", origins.preflight_headers(scope))
        if scope["path"] in PROBES and scope["method"] in ("GET", "HEAD"):
            return await self._probe(scope, send)
        for service in self._services:
            if service.handles(scope):
                return await self._pass_on(service, scope, receive, send)
        await _refuse(scope, send, NotFound(f"nothing is served under {scope['path']}"))

    async def _pass_on(self, service: Service, scope: Scope, receive: Receive, send: Send) -> None:
        """A stream's request goes on as it came; any other is counted and timed."""
        assert service.app is not None
        if service.has_streams:
            return await service.app(scope, receive, send)
        answering = requests.Answering(self._counts, scope, send)
        if self._tracer is not None:
            return await _traced(self._tracer, service.app, scope, receive, answering)
        try:
            await service.app(scope, receive, answering)
        finally:
            answering.done()

    def _check(self, scope: Scope) -> None:
        """Raises what a request is refused for, whatever it asks for."""
        if (
            len(scope.get("raw_path") or b"") + len(scope.get("query_string", b""))
            > MAX_ADDRESS_BYTES
        ):
            raise AddressTooLong(f"at most {MAX_ADDRESS_BYTES:,} bytes")
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            raise HeadersTooLarge(f"at most {MAX_HEADER_BYTES:,} bytes")
        self._check_host(scope)
        _check_version(scope)
        self._origins.admit(scope)
        scope[origins.HEADERS_SCOPE] += self._deprecations.headers(scope)

    async def readiness(self) -> Readiness:
        """All services' readiness in one."""
        parts = await asyncio.gather(*(service.ready() for service in self._all))
        failing = {name: why for part in parts for name, why in part.failing.items()}
        degraded = {name: why for part in parts for name, why in part.degraded.items()}
        warnings = {name: why for part in parts for name, why in part.warnings.items()}
        if self.stopping:
            failing["process"] = "stopping"
        return Readiness(failing, degraded, warnings)

    async def _probe(self, scope: Scope, send: Send) -> None:
        match scope["path"]:
            case "/health":
                await _answer(scope, send, HTTPStatus.OK, _json({"status": "ok"}))
            case "/ready":
                await self._ready(scope, send)
            case _:
                await self._metrics(scope, send)

    async def _ready(self, scope: Scope, send: Send) -> None:
        found = await self.readiness()
        body = {
            "status": "failing" if found.failing else "ready",
            "failing": found.failing,
            "degraded": found.degraded,
            **({"warnings": found.warnings} if found.warnings else {}),
        }
        status = HTTPStatus.SERVICE_UNAVAILABLE if found.failing else HTTPStatus.OK
        retry = {"Retry-After": "2"} if found.failing else {}
        await _answer(scope, send, status, _json(body), retry)

    async def _metrics(self, scope: Scope, send: Send) -> None:
        if not self._metrics_public:
            try:
                principal = await self._authenticator.principal(presented(Headers(scope=scope)))
                if not principal.is_admin:
                    raise Forbidden("only an administrator's key may read the metrics")
            except Problem as problem:
                return await _refuse(scope, send, problem)
        kind = {"Content-Type": exposition.CONTENT_TYPE}
        await _answer(scope, send, HTTPStatus.OK, exposition.text(), kind)

    def _check_host(self, scope: Scope) -> None:
        """Raises `UnclearHost`, or `WrongHost` for another name than ours. HTTP/1.0 needs none: no browser,
        which another site could lead here, speaks it."""
        named = [value for name, value in scope["headers"] if name == b"host"]
        if not named and scope.get("http_version") == "1.0":
            return
        if len(named) != 1:
            raise UnclearHost(f"{len(named)} Host headers")
        host = named[0].decode("latin-1")
        if self._hosts and PORT.sub("", host).strip("[]").lower() not in self._hosts:
            raise WrongHost(f"{host[:100]!r} is not one of RUNCAST_ALLOWED_HOSTS")


async def _traced(
    tracer: Tracer, app: ASGIApp, scope: Scope, receive: Receive, answering: requests.Answering
) -> None:
    """Has a request served as a span, which goes on with the client's trace where it names one."""
    span = tracer.begin(scope["method"], "server", requests.traceparent(scope))
    if span is not None:
        spans.current.set(span.cause)
        requests.number_like(scope, span.cause)
    try:
        await app(scope, receive, answering)
    finally:
        answering.done()
        if span is not None:
            answering.describe(span)


def _check_version(scope: Scope) -> None:
    """Raises `UnknownVersion` for a client that insists on another version of the API than ours."""
    for name, value in scope["headers"]:
        if name == b"runcast-version" and value.strip() != API_VERSION.encode():
            raise UnknownVersion(f"this server speaks version {API_VERSION} of the API")


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


async def _refuse(scope: Scope, send: Send, problem: Problem) -> None:
    await slow_refusals.hold(scope, problem.status)
    headers = {"Content-Type": PROBLEM_MEDIA_TYPE, **problem.headers()}
    headers["X-Request-ID"] = requests.number(scope)
    await _answer(scope, send, problem.status, _json(problem.body()), headers)


async def _answer(
    scope: Scope, send: Send, status: int, body: bytes, headers: dict[str, str] | None = None
) -> None:
    given = {"Content-Type": "application/json", "Cache-Control": "no-store", **(headers or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in given.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await _send(send, status, body, origins.with_added(scope, raw))


async def _send(
    send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})
