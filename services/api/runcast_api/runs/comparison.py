"""Runs side by side: what differs between them, member by member.

Members that are objects (`labels`, `metadata`, `input`, `metrics`, `usage`) are compared leaf by leaf, under
names with dots: `input.temperature`, `metrics.loss`. What is different for every run by its nature, such as
its id and times, isn't compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from runcast._support import times
from runcast_api.runs.runs import Run
from runcast_server import runs
from runcast_server.db import Connection

MOST = 20
"""Runs that are compared at once."""
DIFFERENCES = 1000
"""Members that an answer names at most."""
_DEPTH = 8
_COMPARED = (
    "name",
    "status",
    "agent_type",
    "agent_name",
    "phase",
    "current_step",
    "attempt",
    "error",
    "last_line_number",
    "labels",
    "metrics",
    "usage",
    "input",
    "result",
    "metadata",
)


class Difference(BaseModel):
    """A member that isn't the same in all of the runs; `values` are in the order of the runs, and null where
    a run doesn't have it."""

    member: str
    values: list[Any]


class Comparison(BaseModel):
    """The runs in the order asked for, and what differs; `duration_s` is from start to end, null before."""

    runs: list[Run]
    differences: list[Difference]
    complete: bool


async def compare(connection: Connection, run_ids: Sequence[UUID]) -> dict[str, Any]:
    """The runs and their differences. The caller may read all of them."""
    rows = await connection.fetch(
        f"SELECT {runs.COLUMNS} FROM runs WHERE id = ANY($1::uuid[])", list(run_ids)
    )
    found = {row["id"]: runs.as_json(row) for row in rows}
    shown = [found[run_id] for run_id in run_ids if run_id in found]
    different = differences([dict(_leaves(run)) for run in shown])
    return {
        "runs": shown,
        "differences": different[:DIFFERENCES],
        "complete": len(different) <= DIFFERENCES,
    }


def differences(leaves: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The names under which not all have the same value, in the order in which they are met."""
    names = dict.fromkeys(name for each in leaves for name in each)
    found = []
    for name in names:
        values = [each.get(name) for each in leaves]
        if any(value != values[0] for value in values):
            found.append({"member": name, "values": values})
    return found


def _leaves(run: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in _COMPARED:
        if run[name] != {}:
            yield from _of(name, run[name], _DEPTH)
    yield "duration_s", _duration_seconds(run)


def _of(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value and depth:
        for member, its in value.items():
            yield from _of(f"{name}.{member}", its, depth - 1)
    else:
        yield name, value


def _duration_seconds(run: Mapping[str, Any]) -> float | None:
    if run["started_at"] is None or run["finished_at"] is None:
        return None
    took = times.parse(run["finished_at"]) - times.parse(run["started_at"])
    return round(took.total_seconds(), 3)
