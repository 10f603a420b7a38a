"""Bare runs: made because another run named them as its parent, and filled in once they are heard of."""

from __future__ import annotations

from typing import Any, Protocol
from uuid import UUID

from runcast._support import times
from runcast._support.ids import uuid7
from runcast_api.runs import names
from runcast_server import runs
from runcast_server.eventlog import frames
from runcast_server.eventlog.log import Transaction
from runcast_server.runs import in_milliseconds

Json = dict[str, Any]

_MAKE = f"""
INSERT INTO runs (id, key, project_id, phase, steps, status, metadata, created_at, heard_at, updated_at,
                  is_bare, directory_speaks)
SELECT $1, $2, $3, 'session', '{{}}', 'queued', '{{}}', $4, $4, $4, true, false
WHERE NOT EXISTS (SELECT FROM tombstones WHERE id = $1)
ON CONFLICT DO NOTHING RETURNING {runs.COLUMNS}
"""
_FILL = f"""
UPDATE runs SET is_bare = false, key = coalesce($4, key), name = coalesce($5, name), phase = $6, steps = $7,
       current_step = $8, agent_type = $9, agent_name = $10, task_id = $11, input = $12,
       metadata = $13, updated_at = $14
WHERE project_id = $1 AND is_bare AND (id = $2 OR ($2 IS NULL AND key = $3))
RETURNING {runs.COLUMNS}
"""
_MADE_OF = (
    "key",
    "name",
    "phase",
    "steps",
    "current_step",
    "agent_type",
    "agent_name",
    "task_id",
    "input",
)


class MadeOf(Protocol):
    """What a run is made of (`RunNew`)."""

    id: UUID | None
    key: str | None
    name: str | None
    phase: str
    steps: list[str]
    current_step: str | None
    agent_type: str | None
    agent_name: str | None
    task_id: UUID | None
    input: Any
    metadata: Json


async def make(
    transaction: Transaction, project_id: UUID, run_id: UUID | None, key: str | None
) -> UUID | None:
    """The id of a new bare run with this id or this key; None for an id that is or was another run's."""
    now = times.now()
    new_id = run_id or uuid7()
    row = await transaction.connection.fetchrow(_MAKE, new_id, key, project_id, now)
    if row is None:
        return None
    run = runs.as_json(row)
    created = runs.work_ids(run) | {"run": run, "at": in_milliseconds(now)}
    transaction.emit(project_id, frames.event("run:created", created, run_id=new_id))
    return new_id


async def fill(transaction: Transaction, project_id: UUID, new: MadeOf) -> Json | None:
    """The bare run that is now heard of by its id, or by its key alone, with what it is made of; None where
    there is none."""
    if new.id is None and new.key is None:
        return None
    if new.id is not None and new.key is not None:
        taken = await names.find(transaction.connection, project_id, new.key)
        if taken not in (None, new.id):
            return None
    now = times.now()
    row = await transaction.connection.fetchrow(
        _FILL, project_id, new.id, new.key, new.key, new.name, new.phase, new.steps,
        new.current_step, new.agent_type, new.agent_name, new.task_id, new.input, new.metadata, now,
    )  # fmt: skip
    if row is None:
        return None
    run = runs.as_json(row)
    changed = {name: run[name] for name in (*_MADE_OF, "metadata")}
    told = runs.work_ids(run) | {"changed": changed, "at": in_milliseconds(now)}
    transaction.emit(project_id, frames.event("run:updated", told, run_id=UUID(run["id"])))
    return run
