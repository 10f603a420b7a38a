"""`If-Match`: a change of what the caller has read, and of nothing newer (RFC 9110, section 13.1.1).

The tag is that of the answer to GET at the same address. It is compared in the transaction of the change,
behind the lock of what is changed, so that of two who read the same version one is told to read again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from fastapi import Depends, Header
from fastapi.dependencies.models import Dependant
from starlette.requests import Request

from runcast_api.http import entity_tags
from runcast_server.errors import Invalid, Problem


class PreconditionFailed(Problem):
    """It was changed since it was read; `If-Match` names another version."""

    status = 412
    type = "precondition-failed"
    title = "Changed since it was read"


@dataclass(frozen=True, slots=True)
class Precondition:
    """Which versions a change is meant for; without a header every one."""

    header: str | None

    async def require(self, shown: Callable[[], Awaitable[Any]]) -> None:
        """Raises `PreconditionFailed` unless what GET would answer now is a version that the header names."""
        if self.header is None:
            return
        tag = entity_tags.of(orjson.dumps(await shown()))
        if not entity_tags.is_listed(self.header, tag, weak=False):
            raise PreconditionFailed("read it again: this isn't the version that If-Match names")


def refuse_ignored(request: Request) -> None:
    """Raises `Invalid` for a change that names versions where they aren't compared: it would be done
    though someone changed it since."""
    if request.method in ("GET", "HEAD") or "if-match" not in request.headers:
        return
    route: Any = request.scope["route"]
    if not _takes(route.dependant):
        raise Invalid.of(
            "header.If-Match",
            "is compared on PATCH of projects, runs, tasks, subtasks, and PUT of your notifications",
        )


def _takes(dependant: Dependant) -> bool:
    return dependant.call is _precondition or any(map(_takes, dependant.dependencies))


async def _precondition(
    if_match: Annotated[
        str | None,
        Header(max_length=1000, description="Only where GET would answer with this `ETag`."),
    ] = None,
) -> Precondition:
    return Precondition(if_match)


IfMatch = Annotated[Precondition, Depends(_precondition)]
