"""What the server answers when it says no: RFC 9457 problem details.

A domain function raises one of these; one place renders it. `type` is stable and documented in
`docs/errors.md`; `detail` is for the person who reads it and names the field or the state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

PROBLEM_MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One invalid field: where it stands (`body.steps.2`, `query.limit`) and what is wrong with it."""

    field: str
    message: str


class Problem(Exception):
    """The base of every refusal. Subclasses fix `status`, `type` and `title`."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str = "",
        *,
        errors: tuple[FieldError, ...] = (),
        retry_after_seconds: int | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.errors = errors
        self.retry_after_seconds = retry_after_seconds
        self.extra = extra or {}

    def body(self) -> dict[str, Any]:
        """The members of the answer, without those that say nothing."""
        members: dict[str, Any] = {
            "type": f"urn:runcast:problem:{self.type}",
            "title": self.title,
            "status": self.status,
        }
        if self.detail:
            members["detail"] = self.detail
        if self.errors:
            members["errors"] = [{"field": e.field, "message": e.message} for e in self.errors]
        return members | self.extra

    def headers(self) -> dict[str, str]:
        """The headers that belong to the answer besides its content type."""
        if self.retry_after_seconds is not None:
            return {"Retry-After": str(self.retry_after_seconds)}
        return {}


class Unauthenticated(Problem):
    """No token, or one that isn't good (any more)."""

    status = 401
    type = "unauthenticated"
    title = "Sign in first"

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class Forbidden(Problem):
    """A signed-in caller without the right."""

    status = 403
    type = "forbidden"
    title = "Not allowed"


class NotFound(Problem):
    """Not there, or not for this caller to know of."""

    status = 404
    type = "not-found"
    title = "Not found"


class TooSlow(Problem):
    """A body that doesn't keep coming; `detail` says how fast it must."""

    status = 408
    type = "too-slow"
    title = "The body comes too slowly"

    def headers(self) -> dict[str, str]:
        return {"Connection": "close"}


class Conflict(Problem):
    """The state doesn't allow it; `detail` names the states."""

    status = 409
    type = "conflict"
    title = "Conflict with the current state"


class Erased(Problem):
    """It was done before under the same key, and what it answered was deleted or redacted since."""

    status = 410
    type = "erased"
    title = "Done, and erased since"


class TooLarge(Problem):
    """More than a limit allows; `detail` names the limit."""

    status = 413
    type = "too-large"
    title = "Too large"


class Invalid(Problem):
    """The request can be read but not accepted; `errors` names the fields."""

    status = 422
    type = "invalid"
    title = "Invalid request"

    @classmethod
    def of(cls, field: str, message: str) -> Invalid:
        """The refusal of one field."""
        return cls(f"{field}: {message}", errors=(FieldError(field, message),))


class LimitReached(Problem):
    """Too many at once or too often."""

    status = 429
    type = "limit-reached"
    title = "Limit reached"


class QuotaExceeded(Problem):
    """The project may add no lines: its quota of bytes, or of lines in a minute, is used up."""

    status = 429
    type = "quota-exceeded"
    title = "Quota exceeded"


class Unavailable(Problem):
    """A backing service is down or too slow; the same request may work in a moment."""

    status = 503
    type = "unavailable"
    title = "Temporarily unavailable"

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 2) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)


class ExplainedError(Exception):
    """An error of starting or operating a server whose message says what to do.

    Commands print the message alone, without a traceback, and exit with code 1.
    """
