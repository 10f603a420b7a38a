"""Links that answer, once: each one option of one question, as one person.

Only a hash is stored. A link ends with its question, after its first use, and after `LASTS`. What it answers
is checked as if the person had answered in the console: they may have left the project meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from runcast_api.notifications.messages import BUTTONS, Button
from runcast_api.questions import questions
from runcast_api.questions.schemas import AnswerNew
from runcast_server.auth import access, rights
from runcast_server.auth.principal import ANSWER_PREFIX, Principal, hash_token, new_token
from runcast_server.db import Connection, Database, Pool, acquire
from runcast_server.errors import Conflict, Erased, NotFound
from runcast_server.eventlog.log import EventLog, Transaction

LASTS = timedelta(hours=24)
KEPT = timedelta(days=2)
"""For so long a link that has ended is told from one that never was."""

_ADD = """
INSERT INTO answer_links (token_hash, user_id, question_id, option, via, expires_at)
VALUES ($1, $2, $3, $4, $5, now() + $6::interval)
"""
_PRUNE = "DELETE FROM answer_links WHERE expires_at < now() - $1::interval"


@dataclass(frozen=True, slots=True)
class Opened:
    """What a link is for."""

    caller: Principal
    question_id: UUID
    option: str
    via: str
    is_used: bool


async def make(
    connection: Connection,
    user_id: UUID,
    question_id: UUID,
    options: Sequence[tuple[str, str]],
    via: str,
) -> tuple[Button, ...]:
    """A button for each option, given with its role."""
    made = []
    for option, role in options:
        token = new_token(ANSWER_PREFIX)
        await connection.execute(_ADD, hash_token(token), user_id, question_id, option, via, LASTS)
        made.append(Button(BUTTONS[role], role, token))
    return tuple(made)


async def look(database: Database, token: str) -> Opened:
    """What the link is for; changes nothing. Raises `NotFound` for none of ours, `Erased` (410) for one whose
    time is over."""
    async with acquire(database.requests) as connection:
        row = await connection.fetchrow("SELECT * FROM answer_link($1)", hash_token(token))
    if row is None:
        raise NotFound("this link isn't one of ours, or has long ended")
    if row["expires_at"] <= datetime.now(UTC):
        raise Erased("this link has ended; answer in Runcast itself")
    caller = Principal(
        name=f"user:{row['user_id']}", user_id=row["user_id"], is_admin=row["is_admin"]
    )
    is_used = row["used_at"] is not None
    return Opened(caller, row["question_id"], row["option"], row["via"], is_used)


async def answer(
    database: Database, eventlog: EventLog, token: str, opened: Opened, project_id: UUID
) -> dict[str, Any]:
    """The question, answered by the link, which is used up in the same transaction. Raises `Conflict` where
    it was used or the question is closed, and as `questions.answer` does."""
    async with database.acting(opened.caller) as connection:
        found = await access.inside(
            connection, opened.caller, project_id, "no such question", rights.READ
        )
    questions.require_answerer(opened.caller, found.role)
    given = AnswerNew.model_validate({"option": opened.option, "via": opened.via})

    async def change(transaction: Transaction) -> dict[str, Any]:
        closed = await questions.answer(transaction, opened.question_id, given, opened.caller)
        is_first = await transaction.connection.fetchval(
            "SELECT use_answer_link($1)", hash_token(token)
        )
        if not is_first:
            raise Conflict("this link was used already")
        return closed

    return await eventlog.commit(project_id, change)


async def prune(pool: Pool) -> None:
    """Forgets links that ended long ago."""
    async with acquire(pool) as connection:
        await connection.execute(_PRUNE, KEPT)
