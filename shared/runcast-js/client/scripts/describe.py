"""Prints, as JSON, what the server says of itself: its OpenAPI document and its event catalogue."""

from __future__ import annotations

import json
import sys
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from runcast import events
from runcast_api import app
from runcast_api.dependencies import Api

PLAIN = {str: "string", int: "number", float: "number", bool: "boolean", NoneType: "null"}


def main() -> None:
    document = app.create(cast(Api, None), "0").openapi()
    catalogue = {name: members(kind) for name, kind in events.DATA.items()}
    json.dump({"openapi": document, "events": catalogue}, sys.stdout)


def members(kind: type) -> dict[str, dict[str, Any]]:
    """Each member of an event's data: its TypeScript type, and whether it is always there."""
    required = kind.__required_keys__  # type: ignore[attr-defined]  # A TypedDict has it.
    return {
        name: {"type": typescript(hint), "required": name in required}
        for name, hint in get_type_hints(kind).items()
    }


def typescript(hint: Any) -> str:
    if hint in PLAIN:
        return PLAIN[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " | ".join(typescript(argument) for argument in arguments)
    if origin is list:
        return f"{typescript(arguments[0])}[]"
    if origin is dict:
        return "Record<string, unknown>"
    return "unknown"


if __name__ == "__main__":
    main()
