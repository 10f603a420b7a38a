"""What can go wrong, as seen by a program that uses the client.

The SDK's trackers and sinks raise none of these: they warn on the logger `runcast` and go on.
"""

from typing import Any


class RuncastError(Exception):
    """Something that Runcast was asked to do could not be done."""


class NotConfigured(RuncastError):
    """No server is known: neither flags, nor RUNCAST_URL, nor a credentials.json."""


class NotResumable(RuncastError):
    """There is no unfinished run to go on with, and `resume="must"` asks for one."""


class Unreachable(RuncastError):
    """The server did not answer: refused, timed out, or the connection broke.

    `is_refused`: no connection could be made at all.
    """

    def __init__(self, reason: str, *, is_refused: bool = False) -> None:
        super().__init__(reason)
        self.is_refused = is_refused


class InvalidFile(RuncastError):
    """A file of a run's directory does not hold what its format says."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason


class InvalidName(RuncastError, ValueError):
    """A name that can't stand in an address: it is empty, "." or ".."."""


class StreamEnded(RuncastError):
    """The server ended a stream for good: `deleted`, `revoked` or `token_expired`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the server ended the stream: {reason}")
        self.reason = reason


class ApiError(RuncastError):
    """The server answered with a problem (RFC 9457)."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        *,
        type: str = "about:blank",
        errors: list[dict[str, Any]] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(f"{status} {title}" + (f": {detail}" if detail else ""))
        self.status = status
        self.title = title
        self.detail = detail
        self.type = type
        self.errors = errors or []
        self.retry_after_seconds = retry_after_seconds


class Unauthorized(ApiError):
    """401: no token, or one that the server does not take."""


class Forbidden(ApiError):
    """403: signed in, without the right."""


class NotFound(ApiError):
    """404: not there, or not to be seen by the caller."""


class Conflict(ApiError):
    """409: an illegal transition, or an id that is taken."""


class TooLarge(ApiError):
    """413: the body is larger than the server takes."""


class Invalid(ApiError):
    """422: a field is wrong; `errors` names which."""


class TooMany(ApiError):
    """429: a limit is reached; `retry_after_seconds` says when to come back."""


class Unavailable(ApiError):
    """5xx: the server, or something behind it, is down."""


_BY_STATUS: dict[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: Invalid,
    429: TooMany,
}


def from_problem(status: int, problem: dict[str, Any], retry_after: str | None) -> ApiError:
    """The error for an answer of this status; `problem` is its JSON body, or empty."""
    kind = Unavailable if status >= 500 else _BY_STATUS.get(status, ApiError)
    return kind(
        status,
        str(problem.get("title") or "error"),
        str(problem.get("detail") or ""),
        type=str(problem.get("type") or "about:blank"),
        errors=_errors(problem.get("errors")),
        retry_after_seconds=_seconds(retry_after),
    )


def _seconds(retry_after: str | None) -> float | None:
    is_number = retry_after and retry_after.isascii() and retry_after.isdigit()
    return float(retry_after) if retry_after and is_number else None


def _errors(given: Any) -> list[dict[str, Any]]:
    """Those that have our form: what stands before a server answers as it likes."""
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
