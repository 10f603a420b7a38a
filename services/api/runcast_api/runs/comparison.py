"""Runs side by side: what differs between them, member by member.

Members that are objects (`labels`, `metadata`, `input`, `metrics`, `usage`) are compared leaf by leaf, under
names with dots: `input.temperature`, `metrics.loss`. What is different for every run by its nature, such as
its id and times, isn't compared. What is read, taken apart and answered is bounded: a run's `input` may be a
mebibyte of one-letter members.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel

from runcast.contract import Status
from runcast_server.db import Connection
from runcast_server.errors import TooLarge
from runcast_server.runs import in_milliseconds

MOST = 20
"""Runs that are compared at once."""
DIFFERENCES = 1000
"""Members that an answer names at most."""
LEAVES = 2000
"""Members of a run's objects that are compared on their own; an object of more than are left is one value."""
BYTES = 16 * 1024 * 1024
"""What the compared members of all the runs may hold."""
_NAME = 500
"""Characters of a member's name with its dots; an object that has longer ones inside is one value."""
_DEPTH = 8
_NAMED = ("id", "number", "key", "project_id", "started_at", "finished_at")
_PLAIN = (
    *("name", "status", "agent_type", "agent_name", "phase", "current_step", "attempt", "error"),
    "last_line_number",
)
_JSON = ("labels", "metrics", "usage", "input", "result", "metadata")
_COMPARED = _PLAIN + _JSON

_BYTES = " + ".join(f"coalesce(octet_length({name}::text), 0)" for name in ("error", *_JSON))
_SIZE = f"SELECT coalesce(sum({_BYTES}), 0) FROM runs WHERE id = ANY($1::uuid[])"
_READ = f"""
SELECT {", ".join(_NAMED + _PLAIN)}, {", ".join(f"{name}::text AS {name}" for name in _JSON)}
FROM runs WHERE id = ANY($1::uuid[])
"""


class ComparedRun(BaseModel):
    """Which run it is. `GET /runs/{run}` shows the rest."""

    id: UUID
    number: int
    key: str | None
    project_id: UUID
    name: str | None
    status: Status
    started_at: str | None
    finished_at: str | None


class Difference(BaseModel):
    """A member that isn't the same in all of the runs; `values` are in the order of the runs, and null where
    a run doesn't have it."""

    member: str
    values: list[Any]


class Comparison(BaseModel):
    """The runs in the order asked for, and what differs; `duration_s` is from start to end, null before."""

    runs: list[ComparedRun]
    differences: list[Difference]
    complete: bool


async def read(connection: Connection, run_ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """What is compared of the runs, in their order, with JSON as text. The caller may read all of them.
    Raises `TooLarge` where they hold more than `BYTES`."""
    wanted = list(run_ids)
    size = await connection.fetchval(_SIZE, wanted)
    if size > BYTES:
        raise TooLarge(
            f"the compared members of these runs hold {size:,} bytes; at most {BYTES:,} are compared at"
            " once: name fewer runs"
        )
    found = {row["id"]: dict(row) for row in await connection.fetch(_READ, wanted)}
    return [found[run_id] for run_id in wanted if run_id in found]


def compare(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The runs and their differences. Takes a while for large ones: not for the event loop."""
    leaves = [dict(_leaves(row)) for row in rows]
    different = list(islice(differences(leaves), DIFFERENCES + 1))
    return {
        "runs": [_shown(row) for row in rows],
        "differences": different[:DIFFERENCES],
        "complete": len(different) <= DIFFERENCES,
    }


def differences(leaves: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The names under which not all have the same value, in the order in which they are met."""
    for name in dict.fromkeys(name for each in leaves for name in each):
        values = [each.get(name) for each in leaves]
        if any(value != values[0] for value in values):
            yield {"member": name, "values": values}


def _leaves(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    left = LEAVES
    run = {name: row[name] for name in _PLAIN}
    run |= {name: None if row[name] is None else orjson.loads(row[name]) for name in _JSON}
    waiting = [(name, run[name], _DEPTH) for name in reversed(_COMPARED) if run[name] != {}]
    while waiting:
        name, value, depth = waiting.pop()
        if depth and _is_apart(name, value) and len(value) <= left:
            left -= len(value)
            waiting += [(f"{name}.{key}", its, depth - 1) for key, its in reversed(value.items())]
        else:
            yield name, value
    yield "duration_s", _duration_seconds(row)


def _is_apart(name: str, value: Any) -> bool:
    """Whether it is an object whose members can be named."""
    return isinstance(value, dict) and bool(value) and len(name) + 1 + max(map(len, value)) <= _NAME


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: row[name] for name in ComparedRun.model_fields}
    shown |= {name: str(row[name]) for name in ("id", "project_id")}
    return shown | {name: in_milliseconds(row[name]) for name in ("started_at", "finished_at")}


def _duration_seconds(row: Mapping[str, Any]) -> float | None:
    if row["started_at"] is None or row["finished_at"] is None:
        return None
    took: timedelta = row["finished_at"] - row["started_at"]
    return round(took.total_seconds(), 3)
