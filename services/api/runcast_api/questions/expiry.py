"""Ends questions whose time has passed. Any number of processes may do so: each ends once.

More are due than one look takes only where many can't be ended now. So a look takes any of them, and none
waits for those that fail."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from runcast_api.maintenance.due_work import ANYWAY_SECONDS, Timed
from runcast_api.questions import questions
from runcast_server.db import Pool, acquire
from runcast_server.eventlog.log import EventLog, Transaction
from runcast_server.loops import Items, Loop, grouped, item

BATCH = 500

_DUE = """
SELECT q.id, q.project_id FROM questions q JOIN projects p ON p.id = q.project_id
WHERE q.state = 'open' AND q.expires_at <= statement_timestamp() AND p.deleted_at IS NULL
"""


@dataclass(eq=False)
class Expiry:
    """Looks for questions that are due."""

    pool: Pool
    eventlog: EventLog

    def timed(self) -> list[Timed]:
        """Its work that comes due."""
        return [Timed(_DUE, Loop("question expiry", self.expire, ANYWAY_SECONDS))]

    async def expire(self) -> None:
        """One look."""
        async with acquire(self.pool) as connection:
            due = await connection.fetch(f"{_DUE} ORDER BY random() LIMIT $1", BATCH)
        projects = Items("question expiry")
        for project_id, its in grouped(due, "project_id").items():
            with projects.one(project=str(project_id)):
                for row in its:
                    with item("question", question=str(row["id"])):
                        await self._expire_one(project_id, row["id"])

    async def _expire_one(self, project_id: UUID, question_id: UUID) -> None:
        async def change(transaction: Transaction) -> None:
            await questions.expire(transaction, question_id)

        await self.eventlog.commit(project_id, change)
