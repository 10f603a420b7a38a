"""The query parameters that an endpoint declares; others are refused, once the caller is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from starlette.requests import Request

from runcast_server import query_names

_KNOWN = "runcast.query_names"


def refuse_unknown(request: Request, known: Iterable[str] | None = None) -> None:
    """Raises `Invalid` for a parameter that the route doesn't declare. `known` are those of a handler that
    reads its parameters itself."""
    if not request.scope["query_string"]:
        return
    names = _known_of(request) if known is None else frozenset(known) | {query_names.SHARE}
    query_names.refuse_unknown(request.query_params.keys(), names)


def _known_of(request: Request) -> frozenset[str]:
    route: Any = request.scope["route"]
    known: frozenset[str] | None = getattr(route, _KNOWN, None)
    if known is None:
        known = frozenset(_names(route.dependant)) | {query_names.SHARE}
        setattr(route, _KNOWN, known)
    return known


def _names(dependant: Dependant) -> Iterator[str]:
    for parameter in dependant.query_params:
        yield parameter.alias
    for inner in dependant.dependencies:
        yield from _names(inner)
