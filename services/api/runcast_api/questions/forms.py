"""Answers to a form: data that the flat JSON Schema of a question allows.

What of a schema is understood is what MCP's elicitation allows: texts, numbers, booleans, enums, and lists of
enums. Of other keywords nothing is asked; a schema that makes no sense asks nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping
from typing import Any

from runcast_server.errors import Invalid

Json = dict[str, Any]

MAX_TEXT = 64 * 1024
"""Characters of a text in an answer."""
MAX_CHOICES = 1_000
"""Choices that a field may offer."""
MAX_ITEMS = 1_000
"""Items of a list in an answer."""
SHOWN = 20
"""Choices that a refusal names."""
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def too_long(schema: Json) -> str | None:
    """The first field of a schema that offers more than `MAX_CHOICES`, as a path; None where each offers few
    enough."""
    for name, each in _object(schema.get("properties")).items():
        path, inner = f"properties.{name[:100]}", _object(each)
        while inner:
            if any(len(offered) > MAX_CHOICES for _, offered in _offered(inner)):
                return path
            path, inner = f"{path}.items", _object(inner.get("items"))
    return None


def check(schema: Json, data: Json | None) -> Json:
    """The data, with the schema's properties alone, of their types, and those it requires. Its time grows
    with the schema and the data together, not with their product. Raises `Invalid`, naming the field."""
    properties = _object(schema.get("properties"))
    given = data or {}
    for name in _list(schema.get("required")):
        if isinstance(name, str) and name not in given:
            raise Invalid.of(f"body.data.{name[:100]}", "is missing")
    for name, value in given.items():
        field = f"body.data.{name[:100]}"
        if name not in properties:
            raise Invalid.of(field, "the form has no such field")
        _Field(field, _object(properties[name])).check(value)
    return given


class _Field:
    """What a field of the schema allows; its choices are read once, however many items are checked."""

    def __init__(self, name: str, schema: Json) -> None:
        self._name = name
        self._schema = schema
        self._choices = [
            (keyword, offered, frozenset(map(_identity, offered)))
            for keyword, offered in _offered(schema)
        ]

    @functools.cached_property
    def _items(self) -> _Field:
        return _Field(self._name, _object(self._schema.get("items")))

    def check(self, value: Any) -> None:
        """Raises `Invalid` for a value that the field doesn't allow."""
        name, schema = self._name, self._schema
        if isinstance(value, list) and len(value) > MAX_ITEMS:
            raise Invalid.of(name, f"has more than {MAX_ITEMS:,} items")
        self._check_choice(value)
        kind = schema.get("type")
        types = _TYPES.get(kind) if isinstance(kind, str) else None
        if types and (
            not isinstance(value, types) or (isinstance(value, bool) and kind != "boolean")
        ):
            raise Invalid.of(name, f"is not of the type {kind}")
        if isinstance(value, str):
            if len(value) > MAX_TEXT:
                raise Invalid.of(name, f"longer than {MAX_TEXT:,} characters")
            _check_size(name, schema, len(value), "minLength", "maxLength", " characters")
        elif isinstance(value, list):
            _check_size(name, schema, len(value), "minItems", "maxItems", " items")
            for each in value:
                self._items.check(each)
        elif _is_number(value):
            _check_size(name, schema, value, "minimum", "maximum", "")

    def _check_choice(self, value: Any) -> None:
        """Whether a value is one of those that are offered, in either of the ways in which forms say that."""
        for keyword, offered, allowed in self._choices:
            if _identity(value) not in allowed:
                shown = ", ".join(str(each)[:100] for each in offered[:SHOWN])
                raise Invalid.of(self._name, f"is not one of {shown} ({keyword})")


def _offered(schema: Json) -> list[tuple[str, list[Any]]]:
    """The keywords of a schema that offer choices, and what they offer."""
    found = [("enum", _list(schema.get("enum")))]
    for keyword in ("oneOf", "anyOf"):
        listed = [each for each in _list(schema.get(keyword)) if isinstance(each, dict)]
        if listed and all("const" in each for each in listed):
            found.append((keyword, [each["const"] for each in listed]))
    return [(keyword, offered) for keyword, offered in found if offered]


def _identity(value: Any) -> Hashable:
    """Equal for values that JSON holds for equal: true isn't 1, but 1.0 is."""
    if isinstance(value, list):
        return ("list", *map(_identity, value))
    if isinstance(value, dict):
        return ("object", frozenset((name, _identity(each)) for name, each in value.items()))
    return (isinstance(value, bool), value)


def _check_size(
    field: str, schema: Json, size: float, low_name: str, high_name: str, unit: str
) -> None:
    low, high = schema.get(low_name), schema.get(high_name)
    if low is not None and _is_number(low) and size < low:
        raise Invalid.of(field, f"is less than {low}{unit}")
    if high is not None and _is_number(high) and size > high:
        raise Invalid.of(field, f"is more than {high}{unit}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
