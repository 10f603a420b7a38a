"""Query parameters that nobody knows are refused by name: a misspelt filter would list everything.

Looked at once the caller is known, for every endpoint that asks who calls.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from starlette.requests import Request

from runcast_server.errors import FieldError, Invalid

ALWAYS = frozenset({"share"})
"""The token of a share link, which may come with any request."""
_KNOWN = "runcast.query_names"


def refuse_unknown(request: Request, known: Iterable[str] | None = None) -> None:
    """Raises `Invalid` for a parameter that the route doesn't declare. `known` are those of a handler that
    reads its parameters itself."""
    if not request.scope["query_string"]:
        return
    names = _known_of(request) if known is None else frozenset(known) | ALWAYS
    refuse(request.query_params.keys(), names)


def refuse(given: Iterable[str], known: frozenset[str]) -> None:
    """Raises `Invalid` that names each parameter outside of `known`, with the nearest of them."""
    strange = [name for name in given if name not in known]
    if strange:
        errors = tuple(
            FieldError(f"query.{name[:100]}", _said(name, known)) for name in strange[:20]
        )
        raise Invalid("; ".join(f"{one.field}: {one.message}" for one in errors[:3]), errors=errors)


def _said(name: str, known: frozenset[str]) -> str:
    near = difflib.get_close_matches(name[:100], sorted(known - ALWAYS), 1, 0.6)
    return "no such parameter" + (f"; did you mean {near[0]!r}?" if near else "")


def _known_of(request: Request) -> frozenset[str]:
    route: Any = request.scope["route"]
    known: frozenset[str] | None = getattr(route, _KNOWN, None)
    if known is None:
        known = frozenset(_names(route.dependant)) | ALWAYS
        setattr(route, _KNOWN, known)
    return known


def _names(dependant: Dependant) -> Iterator[str]:
    for parameter in dependant.query_params:
        yield parameter.alias
    for inner in dependant.dependencies:
        yield from _names(inner)
