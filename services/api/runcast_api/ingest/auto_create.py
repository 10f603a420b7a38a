"""A run that the server hears of by a message: the directory of an agent, a worker on Redis."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import ValidationError

from runcast_api.ingest.messages import Message, Refused
from runcast_api.ingest.run_lookup import Address
from runcast_api.runs import bare, runs, schemas
from runcast_server.errors import Conflict
from runcast_server.eventlog.log import Transaction

AGENT_STARTED = "agent:started"
_FIELDS = tuple(name for name in schemas.RunNew.model_fields if name not in ("id", "status"))


async def create_run(
    transaction: Transaction, message: Message, project_id: UUID, *, has_directory: bool
) -> Address:
    """Makes the run that a message is about.

    What it's made of stands in the message's `run`, or in the data of `agent:started`. It is running, as
    someone speaks for it; before its own `agent:started` it is queued. Raises `Refused` or `Problem`.
    """
    is_start = message.type == AGENT_STARTED
    new = _made_of(message)
    try:
        run, _ = await runs.create(
            transaction,
            project_id,
            new,
            is_watched=is_start,
            makes_parent=True,
            has_directory=has_directory,
        )
    except Conflict as conflict:
        # Made under this key since it was looked for: as the parent of another run, or by another process.
        there = conflict.extra.get("run_id")
        if message.run_id is not None or there is None or new.aliases:
            raise
        return Address(UUID(there), project_id)
    return Address(UUID(run["id"]), project_id)


async def fill_bare(
    transaction: Transaction, message: Message, run_id: UUID, project_id: UUID
) -> None:
    """Fills in the run of an `agent:started` that was made bare, as the parent of another. A message whose
    members don't fit changes nothing but the run's status."""
    try:
        new = _made_of(message).model_copy(update={"id": run_id})
    except Refused:
        return
    await bare.fill(transaction, project_id, new)


def _made_of(message: Message) -> schemas.RunNew:
    """What the run of a message is made of. Raises `Refused`."""
    is_start = message.type == AGENT_STARTED
    given = message.data | message.run if is_start else message.run
    members: dict[str, Any] = {name: given[name] for name in _FIELDS if given.get(name) is not None}
    if message.key is not None:
        members["key"] = message.key
    members |= {"id": message.run_id, "status": "queued" if is_start else "running"}
    try:
        return schemas.RunNew.model_validate(members)
    except ValidationError as error:
        raise Refused(f"the run can't be made: {first_complaint(error)}") from error


def first_complaint(error: ValidationError) -> str:
    """The first thing that is wrong, with the field's name."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, found['loc'])) or 'data'}: {found['msg']}"
