"""Query parameters that no one knows are refused by name: a misspelt filter would list everything."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from runcast_server.errors import FieldError, Invalid

SHARE = "share"
"""The token of a share link, which may come with any request."""
_SHOWN = 20


def refuse_unknown(given: Iterable[str], known: frozenset[str]) -> None:
    """Raises `Invalid` that names each parameter outside of `known`, with the nearest of them."""
    strange = [name for name in given if name not in known]
    if strange:
        errors = tuple(
            FieldError(f"query.{name[:100]}", _said(name, known)) for name in strange[:_SHOWN]
        )
        raise Invalid("; ".join(f"{one.field}: {one.message}" for one in errors[:3]), errors=errors)


def refuse_repeated(given: Iterable[tuple[str, str]], several: Collection[str]) -> None:
    """Raises `Invalid` for a parameter that is given with two values and takes one. `several` are those that
    take more."""
    first: dict[str, str] = {}
    for name, value in given:
        if name not in several and first.setdefault(name, value) != value:
            raise Invalid.of(f"query.{name[:100]}", "is given twice, with two values")


def _said(name: str, known: frozenset[str]) -> str:
    near = difflib.get_close_matches(name[:100], sorted(known - {SHARE}), 1, 0.6)
    return "no such parameter" + (f"; did you mean {near[0]!r}?" if near else "")
