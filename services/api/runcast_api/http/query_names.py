"""The query parameters that an endpoint declares; others are refused, once the caller is known, and so is one
that takes a single value and is given two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, get_args, get_origin

from fastapi.dependencies.models import Dependant
from starlette.requests import Request

from runcast_server import query_names

_KNOWN = "runcast.query_names"


class _Names(NamedTuple):
    """What a route declares: all parameters, and those of several values."""

    all: frozenset[str]
    several: frozenset[str]


def refuse_unknown(request: Request, known: Iterable[str] | None = None) -> None:
    """Raises `Invalid` for a parameter that the route doesn't declare, or that contradicts itself. `known`
    are those of a handler that reads its parameters itself."""
    if not request.scope["query_string"]:
        return
    if known is None:
        names = _known_of(request)
    else:
        names = _Names(frozenset(known) | {query_names.SHARE}, frozenset())
    query_names.refuse_unknown(request.query_params.keys(), names.all)
    query_names.refuse_repeated(request.query_params.multi_items(), names.several)


def _known_of(request: Request) -> _Names:
    route: Any = request.scope["route"]
    known: _Names | None = getattr(route, _KNOWN, None)
    if known is None:
        declared = dict(_declared(route.dependant))
        several = frozenset(name for name, takes_several in declared.items() if takes_several)
        known = _Names(frozenset(declared) | {query_names.SHARE}, several)
        setattr(route, _KNOWN, known)
    return known


def _declared(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """The parameters, and whether each takes several values."""
    for parameter in dependant.query_params:
        annotation = parameter.field_info.annotation
        kinds = (annotation, *get_args(annotation))
        yield parameter.alias, any(get_origin(kind) is list for kind in kinds)
    for inner in dependant.dependencies:
        yield from _declared(inner)
