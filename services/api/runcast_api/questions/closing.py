"""The end of questions, as rows and events; `questions` does what it means for the run.

A question is closed by `UPDATE … WHERE state = 'open'`: the first one has closed it, and only that
transaction tells of it. Callers have locked the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from runcast_api.questions.schemas import COLUMNS, State, as_json
from runcast_server.eventlog import frames
from runcast_server.eventlog.log import Transaction
from runcast_server.runs import in_milliseconds

Json = dict[str, Any]

_CLOSE = f"""
UPDATE questions SET state = $2, answer = $3, closed_at = $4
WHERE id = ANY($1::uuid[]) AND state = 'open' RETURNING {COLUMNS}
"""
_OPEN_OF_RUN = f"""
SELECT {COLUMNS} FROM questions WHERE run_id = $1 AND state = 'open' ORDER BY asked_at, id
"""
_PRESSING = {"permission": 0, "choice": 1, "text": 1, "form": 1, "notice": 1, "plan": 2}


async def open_of(transaction: Transaction, run_id: UUID) -> list[Json]:
    """The run's open questions, oldest first."""
    rows = await transaction.connection.fetch(_OPEN_OF_RUN, run_id)
    return [as_json(row) for row in rows]


async def close(
    transaction: Transaction,
    ids: Sequence[UUID],
    state: State,
    now: datetime,
    answer: Mapping[str, Any] | None = None,
) -> list[Json]:
    """Closes those of the questions that are open, tells of each, and answers them as they are now."""
    rows = await transaction.connection.fetch(_CLOSE, list(ids), state, answer, now)
    closed = [as_json(row) for row in rows]
    for question in closed:
        told = {
            "question_id": question["id"],
            "state": state,
            "answer": question["answer"],
            "at": in_milliseconds(now),
        }
        event = frames.event("question:closed", told, run_id=UUID(question["run_id"]))
        transaction.emit(UUID(question["project_id"]), event)
    return closed


async def cancel_all(transaction: Transaction, run_id: UUID, now: datetime) -> None:
    """Takes back whatever the run still asks: it has ended."""
    rows = await transaction.connection.fetch(
        "SELECT id FROM questions WHERE run_id = $1 AND state = 'open'", run_id
    )
    if rows:
        await close(transaction, [row["id"] for row in rows], "cancelled", now)


def attention_of(questions: Sequence[Json]) -> Json | None:
    """What a run needs that asks these: the most pressing, and of those the oldest."""
    if not questions:
        return None
    first = min(questions, key=lambda question: _PRESSING[question["kind"]])
    kind = first["kind"] if first["kind"] in ("permission", "plan") else "question"
    summary = first["title"]
    if first["body"]:
        summary = (
            f"{summary}: {first['body'].strip().splitlines()[0] if first['body'].strip() else ''}"
        )
    return {
        "kind": kind,
        "since": first["asked_at"],
        "summary": summary if len(summary) <= 500 else summary[:499] + "…",
        "question_id": first["id"],
    }
