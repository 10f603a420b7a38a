"""How a call is sent, sent again, and given up: the part of the clients that does no I/O.

`exchange` is a generator. It yields an `httpx.Request` to be sent, or a number of seconds to wait,
and is told the answer or the transport's error; it returns the call's result. Each client drives it
with its own few lines.

A call is repeated only where that can't do anything twice: reads, PUT, DELETE, and POSTs, all of
which carry an `Idempotency-Key`.
"""

import contextlib
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from runcast import errors
from runcast._support.backoff import Backoff
from runcast._support.ids import uuid7
from runcast.client.calls import Call

T = TypeVar("T")
Step = httpx.Request | float
Outcome = httpx.Response | httpx.HTTPError | None
BuildRequest = Callable[..., httpx.Request]

_REPEATED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


_BEARER = re.compile(r"Bearer [^\s'\"]+")
"""A token in the text of an error, which ends up in logs."""


@dataclass(frozen=True)
class Patience:
    """How often a call is tried, and how long it may wait in all between tries."""

    attempts: int = 4
    wait_seconds: float = 20.0


ONCE = Patience(attempts=1)


def exchange(call: Call[T], build: BuildRequest, patience: Patience) -> Generator[Step, Outcome, T]:
    """Raises `Unreachable`, or the `ApiError` that the server answered."""
    if call.method == "POST" and not call.is_repeatable and "Idempotency-Key" not in call.headers:
        call = call.with_headers(Idempotency_Key=str(uuid7()))
    backoff = Backoff(first_seconds=0.2, last_seconds=patience.wait_seconds / 2)
    waited = 0.0
    for attempt in range(1, patience.attempts + 1):
        with contextlib.ExitStack() as stack:
            outcome = yield build(**_arguments(call, stack))
        error = failure(outcome)
        if error is None:
            assert isinstance(outcome, httpx.Response)
            return _result(call, outcome)
        wait = backoff.next_seconds(getattr(error, "retry_after_seconds", None))
        waited += wait
        is_last = attempt == patience.attempts or waited > patience.wait_seconds
        if is_last or not _may_repeat(call, error):
            raise error
        yield wait
    raise AssertionError("the last attempt returns or raises")


def failure(outcome: Outcome) -> errors.RuncastError | None:
    """The error that an outcome means, or None."""
    if isinstance(outcome, httpx.Response):
        return None if outcome.is_success else problem(outcome)
    reason = str(outcome) or type(outcome).__name__
    url = ""
    if isinstance(outcome, httpx.HTTPError):
        with contextlib.suppress(RuntimeError):
            url = f"{outcome.request.url.scheme}://{outcome.request.url.netloc.decode()}: "
    is_refused = isinstance(outcome, httpx.ConnectError)
    return errors.Unreachable(_BEARER.sub("Bearer …", f"{url}{reason}"), is_refused=is_refused)


def problem(response: httpx.Response) -> errors.ApiError:
    """The error that an answer (which has been read) describes."""
    try:
        body: Any = response.json()
    except ValueError:
        body = {"title": response.reason_phrase, "detail": response.text[:200]}
    described = body if isinstance(body, dict) else {}
    return errors.from_problem(response.status_code, described, response.headers.get("Retry-After"))


def _arguments(call: Call[T], stack: contextlib.ExitStack) -> dict[str, Any]:
    arguments = call.arguments()
    if call.upload is not None:
        file = stack.enter_context(call.upload.file.open("rb"))
        arguments["files"] = {"file": (call.upload.file.name, file, call.upload.media_type)}
    return arguments


def _result(call: Call[T], response: httpx.Response) -> T:
    try:
        return call.read(response)
    except ValueError as error:
        raise errors.RuncastError(f"{call.method} {call.path}: not JSON: {error}") from error


def _may_repeat(call: Call[T], error: errors.RuncastError) -> bool:
    if isinstance(error, errors.ApiError):
        return error.status in _REPEATED_STATUSES
    return call.is_repeatable or call.method != "PATCH"
