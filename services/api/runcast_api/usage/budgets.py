"""Budgets: what a run and its descendants may use, and what happens at 80 and at 100 percent, once each.

Looked at again and again, for the few runs that have one: so it doesn't matter who reported what of which
descendant, and a threshold that was passed while no process ran is found after the start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from runcast.contract import TERMINAL_STATUSES, TERMINAL_STATUSES_SQL
from runcast_api.maintenance.due_work import ANYWAY_SECONDS, Timed
from runcast_api.questions import questions
from runcast_api.questions.schemas import QuestionNew
from runcast_api.runs import runs
from runcast_api.usage import ledger, totals
from runcast_server.auth.principal import Principal
from runcast_server.db import Pool, acquire
from runcast_server.eventlog.log import EventLog, Transaction
from runcast_server.loops import Items, Loop, grouped, item
from runcast_server.runs import in_milliseconds

Json = dict[str, Any]

WARNED, SPENT = 80, 100
MOST_PERCENT = 1e9
BATCH = 1_000
_FIRST = UUID(int=0)
BUDGET = Principal(name=questions.BUDGET)
"""Who asks whether to go on, and who cancels."""

_WATCHED = f"""
SELECT id, project_id FROM runs
WHERE budget IS NOT NULL AND budget_spent < {SPENT} AND status NOT IN ({TERMINAL_STATUSES_SQL})
"""
_NOTE = "UPDATE runs SET budget_spent = $2 WHERE id = $1 AND budget_spent < $2 RETURNING true"


@dataclass(eq=False)
class Budgets:
    """Looks at runs with a budget."""

    pool: Pool
    eventlog: EventLog
    batch: int = BATCH
    _after: UUID = field(default=_FIRST)
    """The run after which the next look begins. Each one takes the next runs, so that all have their turn."""

    def timed(self) -> list[Timed]:
        """Its work that comes due."""
        return [Timed(_WATCHED, Loop("budgets", self.look, ANYWAY_SECONDS))]

    async def look(self) -> None:
        """One look, at the next `batch` runs."""
        async with acquire(self.pool) as connection:
            watched = await connection.fetch(
                f"{_WATCHED} AND id > $1 ORDER BY id LIMIT $2", self._after, self.batch
            )
        self._after = watched[-1]["id"] if len(watched) == self.batch else _FIRST
        projects = Items("budgets")
        for project_id, its in grouped(watched, "project_id").items():
            with projects.one(project=str(project_id)):
                for row in its:
                    with item("budget", run=str(row["id"])):
                        await self._look_at(project_id, row["id"])

    async def _look_at(self, project_id: UUID, run_id: UUID) -> None:
        async with acquire(self.pool) as connection:
            used = await totals.of_run(connection, run_id)
            row = await connection.fetchrow(
                "SELECT budget, budget_spent FROM runs WHERE id = $1", run_id
            )
        if used is None or row is None or row["budget"] is None:
            return
        percent = percent_of(row["budget"], used)
        passed = SPENT if percent >= SPENT else WARNED if percent >= WARNED else 0
        if passed <= row["budget_spent"]:
            return

        async def change(transaction: Transaction) -> None:
            await _pass(transaction, run_id, passed, percent)

        await self.eventlog.commit(project_id, change)


def percent_of(budget: Json, used: Json) -> float:
    """How much of a budget is used: of cost or tokens, whichever is more. Ten requests of ten cents are all
    of a dollar, whatever their sum in binary fractions is."""
    shares = [0.0]
    if budget.get("max_cost_usd"):
        shares.append((used["cost_usd"] or 0.0) / budget["max_cost_usd"])
    if budget.get("max_tokens"):
        shares.append(ledger.tokens_of(used) / budget["max_tokens"])
    return round(min(100 * max(shares), MOST_PERCENT), 6)


async def _pass(transaction: Transaction, run_id: UUID, passed: int, percent: float) -> None:
    """Tells that a threshold was passed, and does what the budget asks for; once."""
    run = await runs.lock(transaction, run_id)
    budget = run["budget"]
    if run["status"] in TERMINAL_STATUSES or budget is None:
        return
    if not await transaction.connection.fetchval(_NOTE, run_id, passed):
        return
    said = f"{int(percent):,} % of the budget is used"
    if passed == SPENT and budget["action"] == "cancel":
        await runs.cancel(transaction, run_id, BUDGET)
        return
    if passed == SPENT and budget["action"] == "ask":
        await questions.ask(transaction, run_id, _question(said), BUDGET, {"event": "budget"})
        return
    held = run["attention"]
    if held is None or held["question_id"] is None:
        since = in_milliseconds(runs.moment())
        attention = {"kind": "budget", "since": since, "summary": said, "question_id": None}
        await runs.change(transaction, run, {"attention": attention})


def _question(said: str) -> QuestionNew:
    return QuestionNew.model_validate(
        {
            "kind": "choice",
            "title": f"{said}. Go on?",
            "options": [
                {"id": "continue", "label": "Go on", "role": "allow"},
                {"id": questions.STOP, "label": "Stop the run", "role": "deny"},
            ],
            "via": "budget",
        }
    )
