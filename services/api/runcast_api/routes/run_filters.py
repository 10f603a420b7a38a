"""Query parameters of lists of runs, and what they mean."""

from __future__ import annotations

from typing import Annotated, Literal, cast, get_args
from uuid import UUID

from fastapi import Query
from pydantic import AwareDatetime

from runcast_api.http.fields import NoNul
from runcast_api.runs.annotations import AttentionKind
from runcast_server.auth import access
from runcast_server.auth.access import as_uuid
from runcast_server.db import Connection
from runcast_server.errors import Invalid

_Text = Annotated[str, NoNul]
_NAMES = 100
"""Names that one filter lists at most."""

Labels = Annotated[
    list[_Text] | None,
    Query(
        max_length=64,
        description="`key=value` (or `key:value`), or `key` for any value; all of them.",
    ),
]
Agents = Annotated[
    _Text | None, Query(max_length=2000, description="Names of agents, separated by commas.")
]
Attentions = Annotated[
    _Text | None,
    Query(
        max_length=200,
        description="What the run needs from a person: permission, question, plan, idle, error, budget; "
        "several separated by commas, or `any`.",
    ),
]
Parent = Annotated[
    _Text | None,
    Query(max_length=128, description="The id, key or number of the parent, or `none`."),
]
After = Annotated[AwareDatetime | None, Query(description="Created at this time or later.")]
Before = Annotated[AwareDatetime | None, Query(description="Created before this time.")]
Sort = Annotated[
    str | None,
    Query(
        max_length=40,
        description="created_at, updated_at, number, or attention (who needs a person most); "
        "with - in front reversed. Newest first without it.",
    ),
]
Fields = Annotated[
    str | None,
    Query(max_length=1000, description="Only these members of each run, separated by commas."),
]


def separated(text: str | None) -> tuple[str, ...]:
    """The parts of a comma-separated list."""
    parts = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    if len(parts) > _NAMES:
        raise Invalid.of("query", f"a list of more than {_NAMES} names")
    return parts


def attention(text: str | None) -> tuple[AttentionKind, ...]:
    """Kinds of attention. Raises `Invalid` for one that doesn't exist."""
    kinds = get_args(AttentionKind)
    named = separated(text)
    if named == ("any",):
        return cast(tuple[AttentionKind, ...], kinds)
    for kind in named:
        if kind not in kinds:
            raise Invalid.of("query.attention", f"{kind!r} is not one of {', '.join(kinds)}, any")
    return cast(tuple[AttentionKind, ...], named)


def labels(given: list[str] | None) -> tuple[tuple[str, str | None], ...]:
    """Labels with their values; None stands for any value."""
    found: list[tuple[str, str | None]] = []
    for text in given or ():
        separator = "=" if "=" in text else ":"
        key, has_value, value = text.partition(separator)
        found.append((key, value if has_value else None))
    return tuple(found)


async def parent(
    connection: Connection, project_id: UUID, text: str | None
) -> UUID | Literal["none"] | None:
    """The parent's id. Raises `Invalid` where the project has no such run."""
    if text is None:
        return None
    if text == "none":
        return "none"
    found = as_uuid(text) or await access.run_by_name(connection, project_id, text)
    if found is None:
        raise Invalid.of("query.parent", f"no run {text!r} in this project")
    return found
