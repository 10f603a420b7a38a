"""Each request's number, its time and its outcome: what logs and metrics know of it.

A request is known by `X-Request-ID`, else by the trace of its `traceparent` (W3C Trace Context), else by a
number that is made when something has to be said of it. It stands in each log line that is written while
the request is served, and in the header `X-Request-ID` of every refusal.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Awaitable
from contextvars import ContextVar
from typing import Any

from prometheus_client import Counter, Histogram
from starlette.types import Message, Scope, Send
from structlog.types import EventDict

from runcast_server import metrics
from runcast_server.tracing.spans import About, Cause, Span

HEADER = b"x-request-id"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_NUMBER = "runcast.request"
_GIVEN = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_OTHER = "other"
"""The route of what reached none."""

_current: ContextVar[Scope | None] = ContextVar("runcast_request", default=None)


def begin(scope: Scope) -> None:
    """What is logged by the present task from now on belongs to this request."""
    _current.set(scope)


def number(scope: Scope) -> str:
    """The request's own, or one that is made now and kept."""
    found = scope.get(_NUMBER)
    if found is None:
        found = scope[_NUMBER] = _given(scope.get("headers", ())) or secrets.token_hex(16)
    return str(found)


def number_like(scope: Scope, cause: Cause) -> None:
    """Numbers a request that is traced by its trace, unless it brought a number of its own."""
    scope[_NUMBER] = _given(scope["headers"]) or cause.split("-")[1]


def traceparent(scope: Scope) -> Cause | None:
    """Of which span a request comes, where it says so in a way that can be understood."""
    for name, value in scope["headers"]:
        if name == b"traceparent" and _TRACEPARENT.fullmatch(value):
            return str(value, "ascii")
    return None


def _given(headers: Any) -> str | None:
    traced = None
    for name, value in headers:
        if name == HEADER and _GIVEN.fullmatch(value):
            return str(value, "ascii")
        if name == b"traceparent" and (found := _TRACEPARENT.fullmatch(value)):
            traced = str(found[1], "ascii")
    return traced


def noted(_: object, __: str, event: EventDict) -> EventDict:
    """A processor of log lines: adds the request during which one is written."""
    scope = _current.get()
    if scope is not None and "headers" in scope:
        event.setdefault("request", number(scope))
    return event


class Counts:
    """What is counted of a process's requests. The metrics of a route are looked up once."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def add(self, scope: Scope, status: int, seconds: float) -> None:
        """Counts an answered request; one whose client went before an answer began has the status 499."""
        key = (_method(scope), _route(scope), status or 499)
        found = self._of.get(key)
        if found is None:
            method, route, status = key
            found = self._of[key] = (
                metrics.REQUESTS.labels(method, route, status),
                metrics.REQUEST_SECONDS.labels(method, route),
            )
        requests, times = found
        requests.inc()
        times.observe(seconds)


class Answering:
    """The `send` of one request: notes how it is answered, and numbers its refusal."""

    __slots__ = ("_began", "_counts", "_scope", "_send", "_status")

    def __init__(self, counts: Counts, scope: Scope, send: Send) -> None:
        self._counts = counts
        self._scope = scope
        self._send = send
        self._began = time.perf_counter()
        self._status = 0

    def __call__(self, message: Message) -> Awaitable[None]:
        """Not a coroutine of its own: what is sent is awaited as before."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if self._status >= 400:
                numbered = (HEADER, number(self._scope).encode())
                message = {**message, "headers": [*message.get("headers", ()), numbered]}
        return self._send(message)

    def done(self) -> None:
        """Counts the request."""
        self._counts.add(self._scope, self._status, time.perf_counter() - self._began)

    def describe(self, span: Span) -> None:
        """Ends the request's span with what it was and how it was answered."""
        method, route = _method(self._scope), _route(self._scope)
        span.name(f"{method} {route}")
        about: About = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": self._status or 499,
            "runcast.request": number(self._scope),
        }
        span.end(f"status {self._status}" if self._status >= 500 else None, about)


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in METHODS else _OTHER


def _route(scope: Scope) -> str:
    """The route's template, of which there are as many as there are operations."""
    return str(getattr(scope.get("route"), "path", _OTHER))
