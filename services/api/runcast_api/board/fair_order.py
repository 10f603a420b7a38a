"""Whose turn it is when a worker claims from any project."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from runcast_server.auth import rights
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection

_QUEUES = """
WITH RECURSIVE queues AS (
    (SELECT project_id FROM tasks WHERE queued_at IS NOT NULL ORDER BY project_id LIMIT 1)
    UNION ALL
    SELECT (SELECT t.project_id FROM tasks t WHERE t.queued_at IS NOT NULL AND t.project_id > q.project_id
            ORDER BY t.project_id LIMIT 1)
    FROM queues q WHERE q.project_id IS NOT NULL
)
SELECT q.project_id,
    coalesce((SELECT number FROM queue_counts c
              WHERE c.project_id = q.project_id AND c.status = 'IN_PROGRESS'), 0) AS at_work,
    coalesce((SELECT extract(epoch FROM max(t.claimed_at))::float8 FROM tasks t
              WHERE t.project_id = q.project_id AND t.claimed_at IS NOT NULL), 0) AS last_claimed
FROM queues q JOIN projects p ON p.id = q.project_id AND p.deleted_at IS NULL
WHERE ($1 OR p.id = $2 OR EXISTS (SELECT FROM project_members m WHERE m.project_id = p.id
           AND m.user_id = $3 AND role_rank(m.role) >= role_rank('reporter')))
  AND EXISTS (SELECT FROM tasks t WHERE t.project_id = p.id AND t.queued_at <= statement_timestamp())
"""


class Queue(NamedTuple):
    """A project with something to claim: how many of its subtasks are at work, and when it was last asked
    (Unix time; 0: never)."""

    project_id: UUID
    at_work: int
    last_claimed: float


@dataclass(eq=False)
class Turns:
    """Whose turn it is: the project with the fewest subtasks at work, of these the one that waited
    longest for a claim.

    Claims of this process that are on their way, or came back since someone looked, count as given, so
    that many at once spread out too.
    """

    asked: Counter[UUID] = field(default_factory=Counter)
    """Claims of each project that were begun and not found empty."""
    settled: Counter[UUID] = field(default_factory=Counter)
    """Those of them that are committed: a look that begins now sees them."""

    async def look(self, connection: Connection, caller: Principal) -> list[Queue]:
        """The projects with something to claim in which the caller may work. What was settled before the
        look is in `at_work`; it is taken out here, to be added again when the turn is decided."""
        settled = self.settled.copy()
        may_work = caller.role is not None and caller.role >= rights.PLAN
        key_project = caller.project_id if may_work else None
        rows = await connection.fetch(_QUEUES, caller.is_admin, key_project, caller.user_id)
        return [Queue(id, at_work - settled[id], last) for id, at_work, last in rows]

    def in_order(self, queues: Sequence[Queue]) -> list[UUID]:
        """The projects, the one whose turn it is first."""
        return [queue.project_id for queue in sorted(queues, key=self._turn)]

    def _turn(self, queue: Queue) -> tuple[int, float]:
        return queue.at_work + self.asked[queue.project_id], queue.last_claimed

    @contextlib.contextmanager
    def taken(self, project_id: UUID) -> Iterator[Callable[[], None]]:
        """A claim of this project is on its way; call what this gives when nothing came of it."""
        self.asked[project_id] += 1
        is_given = True

        def withdraw() -> None:
            nonlocal is_given
            is_given = False

        try:
            yield withdraw
        except BaseException:
            is_given = False
            raise
        finally:
            if is_given:
                self.settled[project_id] += 1
            else:
                self.asked[project_id] -= 1
