"""Asking, answering and closing, each in the transaction of its events.

A run with open questions needs attention, and one that was running waits. When the last question is
closed it goes on, unless its status was changed by someone else meanwhile. The order of the events:
`question:asked` or `question:closed`, `run:updated`, `run:status_changed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from runcast._support.ids import uuid7
from runcast.contract import TERMINAL_STATUSES
from runcast_api.accounts import audit
from runcast_api.questions import answers, closing
from runcast_api.questions.schemas import (
    COLUMNS,
    AnswerNew,
    QuestionClosing,
    QuestionNew,
    State,
    as_json,
)
from runcast_api.runs import runs
from runcast_server.auth import rights
from runcast_server.auth.principal import Principal, Role
from runcast_server.db import Connection
from runcast_server.errors import Conflict, Forbidden, Invalid, NotFound
from runcast_server.eventlog import frames
from runcast_server.eventlog.log import Transaction
from runcast_server.runs import in_milliseconds

Json = dict[str, Any]

MAX_OPEN = 100
"""Open questions of a run at most."""

BUDGET = "budget"
"""The principal that asks about a run's budget."""
STOP = "stop"
"""The option of its question that cancels the run."""

_INSERT = f"""
INSERT INTO questions (id, project_id, run_id, kind, title, body, tool, options, multiple, takes_text, parts,
                       schema, "default", answerable, via, asked_by, asker, asked_at, expires_at, on_expiry,
                       dedupe_key, context)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
RETURNING {COLUMNS}
"""


class QuestionClosed(Conflict):
    """The question was closed before; `question` shows how."""

    type = "question-closed"
    title = "The question is closed"


async def ask(
    transaction: Transaction,
    run_id: UUID,
    new: QuestionNew,
    caller: Principal,
    context: Json | None = None,
) -> tuple[Json, bool]:
    """The question, and whether it is new: one with the same id or `dedupe_key` is answered as it is.

    Raises `Conflict` where the run has ended, `Invalid` where it has too many open questions.
    """
    connection = transaction.connection
    run = await runs.lock(transaction, run_id)
    there = await _existing(connection, run_id, new)
    if there is not None:
        return there, False
    if run["status"] in TERMINAL_STATUSES:
        raise Conflict(f"the run is {run['status']}; it asks nothing any more")
    _check_default(new)
    waiting = await closing.open_of(transaction, run_id)
    if len(waiting) >= MAX_OPEN:
        raise Invalid.of("body", f"the run has {MAX_OPEN} open questions already")
    now = runs.moment()
    by = await shown_as(connection, caller)
    row = await connection.fetchrow(_INSERT, *_columns(run, new, by, caller.name, now, context))
    question = as_json(row)
    told = {"question": question, "at": in_milliseconds(now)}
    transaction.emit(UUID(run["project_id"]), frames.event("question:asked", told, run_id=run_id))
    await runs.await_answer(transaction, run, closing.attention_of([*waiting, question]), now)
    return question, True


async def _existing(connection: Connection, run_id: UUID, new: QuestionNew) -> Json | None:
    """The run's question with this id or this dedupe key. Raises `Conflict` for an id taken elsewhere."""
    row = await connection.fetchrow(
        f"""SELECT {COLUMNS} FROM questions WHERE id = $1 OR (run_id = $2 AND dedupe_key = $3)
            ORDER BY id = $1 DESC NULLS LAST LIMIT 1""",
        new.id,
        run_id,
        new.dedupe_key,
    )
    if row is not None and row["run_id"] != run_id:
        raise Conflict("this id is taken")
    return None if row is None else as_json(row)


def _check_default(new: QuestionNew) -> None:
    """Raises `Invalid` where the answer for the expiry doesn't fit the question."""
    if new.on_expiry != "default":
        return
    question = new.model_dump(mode="json", by_alias=True)
    given = _answer_at_expiry(question, None) or {}
    try:
        members = {name: given[name] for name in ("option", "options", "text", "data")}
        answers.check(question, AnswerNew.model_validate(members))
    except (Invalid, ValidationError):
        raise Invalid.of("body.default", "is not an answer to this question") from None


def _columns(
    run: Json, new: QuestionNew, by: Json, asker: str, now: datetime, context: Json | None
) -> tuple[Any, ...]:
    dumped = new.model_dump(mode="json", by_alias=True)
    expires_at = now + timedelta(seconds=new.expires_in_s) if new.expires_in_s else None
    return (
        new.id or uuid7(),
        UUID(run["project_id"]),
        UUID(run["id"]),
        new.kind,
        new.title,
        new.body,
        dumped["tool"],
        dumped["options"],
        new.multiple,
        new.text,
        dumped["parts"],
        dumped["schema"],
        new.default,
        new.answerable,
        new.via,
        by,
        asker,
        now,
        expires_at,
        new.on_expiry,
        new.dedupe_key,
        context,
    )


async def shown_as(connection: Connection, caller: Principal) -> Json:
    """How a caller stands beside what it asked or answered."""
    name = await connection.fetchval("SELECT caller_name($1, $2)", caller.user_id, caller.key_id)
    return {
        "kind": "key" if caller.key_id else "user" if caller.user_id else caller.name,
        "id": str(caller.key_id or caller.user_id or "") or None,
        "name": name,
    }


def require_answerer(caller: Principal, role: Role) -> None:
    """Raises `Forbidden` unless the caller may answer: persons who are editors or owners, and keys made for
    it. A key that agents report with never answers, or an agent would approve itself."""
    if caller.key_id is not None and not caller.is_admin and "answer" not in caller.scopes:
        raise Forbidden("a key answers questions only with the scope answer")
    if role < rights.ANSWER:
        raise Forbidden(f"answering needs the role editor; yours is {role.name.lower()}")


async def answer(
    transaction: Transaction, question_id: UUID, given: AnswerNew, caller: Principal
) -> Json:
    """The question, answered. Raises `QuestionClosed` where someone was faster, `Conflict` where it can
    only be answered where the agent runs, `Invalid` for an answer that doesn't fit."""
    connection = transaction.connection
    question, run = await _locked(transaction, question_id)
    if question["state"] != "open":
        raise _closed(question)
    if not question["answerable"]:
        raise Conflict("this question can only be answered where the agent runs")
    now = runs.moment()
    kept = answers.check(question, given)
    by = await shown_as(connection, caller)
    kept |= {"by": by, "via": given.via, "at": in_milliseconds(now)}
    [closed] = await _close(transaction, run, [question_id], "answered", now, kept)
    if kept["option"] == STOP and await _asker(connection, question_id) == BUDGET:
        await runs.cancel(transaction, UUID(run["id"]), caller)
    await audit.note(
        connection,
        caller,
        "question_answered",
        project_id=UUID(run["project_id"]),
        subject=question_id,
        run_id=run["id"],
        option=kept["option"],
        via=given.via,
    )
    return closed


async def close(
    transaction: Transaction,
    question_id: UUID,
    given: QuestionClosing,
    caller: Principal,
    role: Role,
) -> Json:
    """The question, closed without an answer: by the one who asked it, or by an editor. One that is closed
    that way already is answered as it is. Raises `QuestionClosed`, `Forbidden`."""
    question, run = await _locked(transaction, question_id)
    asker = await _asker(transaction.connection, question_id)
    if role < rights.ANSWER and asker != caller.name:
        raise Forbidden("only the one who asked a question, or an editor, may take it back")
    if question["state"] == given.state:
        return question
    if question["state"] != "open":
        raise _closed(question)
    [closed] = await _close(transaction, run, [question_id], given.state, runs.moment())
    return closed


async def _asker(connection: Connection, question_id: UUID) -> str:
    asker: str = await connection.fetchval("SELECT asker FROM questions WHERE id = $1", question_id)
    return asker


async def close_open(
    transaction: Transaction, run: Json, ids: Sequence[UUID], state: State
) -> list[Json]:
    """Closes those of the run's questions that are open. The caller has locked the run."""
    return await _close(transaction, run, ids, state, runs.moment()) if ids else []


async def expire(transaction: Transaction, question_id: UUID) -> None:
    """Ends a question whose time has passed, with the answer that was set for this; once."""
    question, run = await _locked(transaction, question_id)
    if question["state"] == "open":
        now = runs.moment()
        kept = _answer_at_expiry(question, in_milliseconds(now))
        await _close(transaction, run, [question_id], "expired", now, kept)


def _answer_at_expiry(question: Json, at: str | None) -> Json | None:
    given: Json = {"option": None, "options": None, "text": None, "data": None}
    if question["on_expiry"] == "none":
        return None
    if question["on_expiry"] == "deny":
        options = question["options"] or ()
        given["option"] = next((o["id"] for o in options if o["role"] == "deny"), None)
    else:
        default = question["default"]
        ids = [option["id"] for option in question["options"] or ()]
        if isinstance(default, str):
            given["option" if default in ids else "text"] = default
        else:
            given["options" if isinstance(default, list) else "data"] = default
    return given | {"by": None, "via": "expiry", "at": at}


async def _close(
    transaction: Transaction,
    run: Json,
    ids: Sequence[UUID],
    state: State,
    now: datetime,
    kept: Json | None = None,
) -> list[Json]:
    closed = await closing.close(transaction, ids, state, now, kept)
    if closed:
        left = await closing.open_of(transaction, UUID(run["id"]))
        await runs.go_on(transaction, run, closing.attention_of(left), now, is_last=not left)
    return closed


async def _locked(transaction: Transaction, question_id: UUID) -> tuple[Json, Json]:
    """The question and its run, both locked; the run first, as everywhere."""
    connection = transaction.connection
    run_id = await connection.fetchval("SELECT run_id FROM questions WHERE id = $1", question_id)
    if run_id is None:
        raise NotFound(f"no question '{question_id}'")
    run = await runs.lock(transaction, run_id)
    row = await connection.fetchrow(
        f"SELECT {COLUMNS} FROM questions WHERE id = $1 FOR NO KEY UPDATE", question_id
    )
    if row is None:
        raise NotFound(f"no question '{question_id}'")
    return as_json(row), run


def _closed(question: Json) -> QuestionClosed:
    return QuestionClosed(f"the question is {question['state']}", extra={"question": question})
