"""Answers to a form: data that the flat JSON Schema of a question allows.

What of a schema is understood is what MCP's elicitation allows: texts, numbers, booleans, enums, and lists of
enums. Of other keywords nothing is asked; a schema that makes no sense asks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runcast_server.errors import Invalid

Json = dict[str, Any]

MAX_TEXT = 64 * 1024
"""Characters of a text in an answer."""
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


def check(schema: Json, data: Json | None) -> Json:
    """The data, with the schema's properties alone, of their types, and those it requires. Raises `Invalid`,
    naming the field."""
    properties = _object(schema.get("properties"))
    given = data or {}
    for name in _list(schema.get("required")):
        if isinstance(name, str) and name not in given:
            raise Invalid.of(f"body.data.{name[:100]}", "is missing")
    for name, value in given.items():
        field = f"body.data.{name[:100]}"
        if name not in properties:
            raise Invalid.of(field, "the form has no such field")
        _check_field(field, _object(properties[name]), value)
    return given


def _check_field(field: str, schema: Json, value: Any) -> None:
    _check_choice(field, schema, value)
    kind = schema.get("type")
    types = _TYPES.get(kind) if isinstance(kind, str) else None
    if types and (not isinstance(value, types) or (isinstance(value, bool) and kind != "boolean")):
        raise Invalid.of(field, f"is not of the type {kind}")
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise Invalid.of(field, f"longer than {MAX_TEXT:,} characters")
        _check_size(field, schema, len(value), "minLength", "maxLength", " characters")
    elif isinstance(value, list):
        _check_size(field, schema, len(value), "minItems", "maxItems", " items")
        items = _object(schema.get("items"))
        for each in value:
            _check_field(field, items, each)
    elif _is_number(value):
        _check_size(field, schema, value, "minimum", "maximum", "")


def _check_choice(field: str, schema: Json, value: Any) -> None:
    """Whether a value is one of those that are offered, in either of the ways in which forms say that."""
    for keyword, offered in _choices(schema):
        if offered and not any(_is_same(each, value) for each in offered):
            shown = ", ".join(str(each)[:100] for each in offered[:SHOWN])
            raise Invalid.of(field, f"is not one of {shown} ({keyword})")


def _choices(schema: Json) -> list[tuple[str, list[Any]]]:
    found = [("enum", _list(schema.get("enum")))]
    for keyword in ("oneOf", "anyOf"):
        listed = [each for each in _list(schema.get(keyword)) if isinstance(each, dict)]
        if listed and all("const" in each for each in listed):
            found.append((keyword, [each["const"] for each in listed]))
    return found


def _is_same(offered: Any, value: Any) -> bool:
    """Equality of JSON: true isn't 1."""
    return isinstance(offered, bool) == isinstance(value, bool) and bool(offered == value)


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
