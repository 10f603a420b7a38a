"""What people say to a running session: queued until a hook takes it to the agent, and told as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints

from runcast._support.ids import uuid7
from runcast.contract import TERMINAL_STATUSES
from runcast_api.http.fields import NoNul
from runcast_api.questions import questions
from runcast_api.questions.schemas import By
from runcast_api.runs import runs
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection
from runcast_server.errors import Conflict, Invalid
from runcast_server.eventlog import frames
from runcast_server.eventlog.log import Transaction
from runcast_server.runs import in_milliseconds

Json = dict[str, Any]

MAX_QUEUED = 20
"""Messages that wait for one run at most."""

_COLUMNS = "id, project_id, run_id, text, said_by, queued_at, delivered_at, how"


class Say(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, StringConstraints(min_length=1, max_length=16_000), NoNul]


class Message(BaseModel):
    """`state`: `queued` until a hook took it to the agent, then `delivered`, at a time and how (`stop`,
    `context`, `report`)."""

    id: UUID
    run_id: UUID
    text: str
    by: By
    state: str
    queued_at: str
    delivered_at: str | None
    how: str | None


def as_json(row: Mapping[str, Any]) -> Json:
    return {
        "id": str(row["id"]),
        "run_id": str(row["run_id"]),
        "text": row["text"],
        "by": row["said_by"],
        "state": "queued" if row["delivered_at"] is None else "delivered",
        "queued_at": in_milliseconds(row["queued_at"]),
        "delivered_at": in_milliseconds(row["delivered_at"]),
        "how": row["how"],
    }


async def say(transaction: Transaction, run_id: UUID, said: Say, caller: Principal) -> Json:
    """Queues a message. Raises `Conflict` after the run's end, `Invalid` where too many wait."""
    connection = transaction.connection
    run = await runs.lock(transaction, run_id)
    if run["status"] in TERMINAL_STATUSES:
        raise Conflict(f"the run is {run['status']}; it hears nothing any more")
    waiting = await connection.fetchval(
        "SELECT count(*) FROM run_messages WHERE run_id = $1 AND delivered_at IS NULL", run_id
    )
    if waiting >= MAX_QUEUED:
        raise Invalid.of("body.text", f"{MAX_QUEUED} messages wait for this run already")
    row = await connection.fetchrow(
        f"""INSERT INTO run_messages (id, project_id, run_id, text, said_by, queued_at)
            VALUES ($1, $2, $3, $4, $5, $6) RETURNING {_COLUMNS}""",
        uuid7(),
        UUID(run["project_id"]),
        run_id,
        said.text,
        await questions.shown_as(connection, caller),
        runs.moment(),
    )
    message = as_json(row)
    told = {"message": message, "at": message["queued_at"]}
    transaction.emit(UUID(run["project_id"]), frames.event("message:queued", told, run_id=run_id))
    return message


async def is_any_waiting(connection: Connection, run_id: UUID) -> bool:
    """Whether a message waits for this run."""
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM run_messages WHERE run_id = $1 AND delivered_at IS NULL)",
        run_id,
    )
    return found


async def deliver(transaction: Transaction, run: Json, how: str) -> list[str]:
    """Takes all that waits for a locked run, in order, as the words to tell the agent."""
    rows = await transaction.connection.fetch(
        f"""UPDATE run_messages SET delivered_at = $2, how = $3
            WHERE run_id = $1 AND delivered_at IS NULL RETURNING {_COLUMNS}""",
        UUID(run["id"]),
        runs.moment(),
        how,
    )
    words = []
    for message in sorted((as_json(row) for row in rows), key=lambda message: message["id"]):
        told = {"message_id": message["id"], "how": how, "at": message["delivered_at"]}
        event = frames.event("message:delivered", told, run_id=UUID(run["id"]))
        transaction.emit(UUID(run["project_id"]), event)
        words.append(f"Message from {name_of(message['by'])} in Runcast: {message['text']}")
    return words


def name_of(by: Mapping[str, Any] | None) -> str:
    """The name by which a person is told to an agent."""
    return str((by or {}).get("name") or "a person")
