"""Query parameters of lists of runs, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, cast, get_args
from uuid import UUID

from fastapi import Depends, Query

from runcast.contract import Status
from runcast_api.http.fields import NoNul
from runcast_api.http.many import Separated
from runcast_api.http.moments import MOMENT, Moment
from runcast_api.runs.annotations import AttentionKind
from runcast_api.runs.listing import Wanted
from runcast_api.runs.ordering import Order
from runcast_api.runs.schemas import Liveness
from runcast_server.auth import access
from runcast_server.auth.access import as_uuid
from runcast_server.db import Connection
from runcast_server.errors import Invalid

_Text = Annotated[str, NoNul]
SEVERAL = "One or several, repeated or separated by commas."

Fields = Annotated[
    list[_Text] | None,
    Separated,
    Query(description="Only these members of each run, repeated or separated by commas."),
]


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list of runs is asked for. Raises `Invalid`, when it is made, for what contradicts itself."""

    status: Annotated[list[Status] | None, Separated, Query(description=SEVERAL)] = None
    key: Annotated[_Text | None, Query(max_length=128)] = None
    task_id: Annotated[UUID | None, Query(description="Of this task or subtask.")] = None
    q: Annotated[
        _Text | None,
        Query(
            max_length=200,
            description="Only those with each of these words in id, key, name, agent or step, in any case.",
        ),
    ] = None
    label: Annotated[
        list[_Text] | None,
        Query(
            max_length=64,
            description="`key=value` (or `key:value`), or `key` for any value; repeated, all of them.",
        ),
    ] = None
    agent: Annotated[
        list[_Text] | None, Separated, Query(description=f"Names of agents. {SEVERAL}")
    ] = None
    attention: Annotated[
        list[_Text] | None,
        Separated,
        Query(
            description="What the run needs from a person: permission, question, plan, idle, error, budget, "
            f"or `any`. {SEVERAL}",
        ),
    ] = None
    liveness: Annotated[list[Liveness] | None, Separated, Query(description=SEVERAL)] = None
    parent: Annotated[
        _Text | None,
        Query(max_length=128, description="The id, key or number of the parent, or `none`."),
    ] = None
    created_after: Annotated[
        Moment | None, Query(description=f"Created at this time or later. {MOMENT}")
    ] = None
    created_before: Annotated[
        Moment | None, Query(description=f"Created before this time. {MOMENT}")
    ] = None
    sort: Annotated[
        str | None,
        Query(
            max_length=40,
            description="created_at, updated_at, number, or attention (who needs a person most); "
            "with - in front reversed. Newest first without it.",
        ),
    ] = None

    async def wanted(self, connection: Connection, project_id: UUID | None) -> Wanted:
        """The runs that are asked for, of a project or of all that the caller may see."""
        if (
            self.created_after is not None
            and self.created_before is not None
            and self.created_after >= self.created_before
        ):
            raise Invalid.of(
                "query.created_before", "lies before created_after: no run is in between"
            )
        return Wanted(
            project_id,
            tuple(self.status or ()),
            self.key,
            self.task_id,
            self.q,
            _labels(self.label),
            tuple(self.agent or ()),
            _attention(self.attention),
            await _parent(connection, project_id, self.parent),
            self.created_after,
            self.created_before,
            tuple(self.liveness or ()),
            Order.parse(self.sort),
        )


RunFilters = Annotated[Filters, Depends(Filters)]


def _attention(named: Sequence[str] | None) -> tuple[AttentionKind, ...]:
    """Kinds of attention. Raises `Invalid` for one that doesn't exist."""
    kinds = get_args(AttentionKind)
    if "any" in (named or ()):
        return cast(tuple[AttentionKind, ...], kinds)
    for kind in named or ():
        if kind not in kinds:
            raise Invalid.of("query.attention", f"{kind!r} is not one of {', '.join(kinds)}, any")
    return cast(tuple[AttentionKind, ...], tuple(named or ()))


def _labels(given: Sequence[str] | None) -> tuple[tuple[str, str | None], ...]:
    """Labels with their values; None stands for any value. Raises `Invalid` for two values of one label."""
    found: dict[str, str | None] = {}
    for text in given or ():
        if not text:
            continue
        if text[0] in "=:":
            raise Invalid.of("query.label", "names no label: key=value, or key")
        separator = "=" if "=" in text else ":"
        key, has_value, part = text.partition(separator)
        value = part if has_value else None
        if found.get(key) is not None and value is not None and found[key] != value:
            raise Invalid.of("query.label", f"{key!r} can't have two values at once")
        found[key] = found.get(key) if value is None else value
    return tuple(found.items())


async def _parent(
    connection: Connection, project_id: UUID | None, text: str | None
) -> UUID | Literal["none"] | None:
    """The parent's id. Raises `Invalid` where the project has no such run."""
    if text is None:
        return None
    if text == "none":
        return "none"
    found = as_uuid(text)
    if found is None and project_id is not None:
        found = await access.run_by_name(connection, project_id, text)
    if found is None:
        where = "in this project" if project_id else "by that id"
        raise Invalid.of("query.parent", f"no run {text!r} {where}")
    return found
