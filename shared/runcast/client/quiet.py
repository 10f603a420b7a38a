"""HTTP clients that keep what they do out of the host program's log.

httpx logs each request at INFO, httpcore each step at DEBUG. A program that has its own log at INFO would
find several lines of ours for each of its own, and its own requests lost among them. Requests that it makes
with httpx itself are logged as before.
"""

import contextvars
import logging
from typing import Any

import httpx

_is_ours: contextvars.ContextVar[bool] = contextvars.ContextVar("runcast_request", default=False)
_OWN_THREADS = "runcast-"
_LOGGERS = (
    "httpx",
    *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
)


class HttpClient(httpx.Client):
    """httpx's, which logs nothing."""

    def send(self, *args: Any, **named: Any) -> httpx.Response:
        token = _is_ours.set(True)
        try:
            return super().send(*args, **named)
        finally:
            _is_ours.reset(token)


class AsyncHttpClient(httpx.AsyncClient):
    """httpx's, which logs nothing."""

    async def send(self, *args: Any, **named: Any) -> httpx.Response:
        token = _is_ours.set(True)
        try:
            return await super().send(*args, **named)
        finally:
            _is_ours.reset(token)


def _is_theirs(record: logging.LogRecord) -> bool:
    return not (_is_ours.get() or str(record.threadName or "").startswith(_OWN_THREADS))


for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_is_theirs)
