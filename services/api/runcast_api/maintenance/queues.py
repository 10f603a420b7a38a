"""What boards and runtime observability need done by themselves."""

from __future__ import annotations

from dataclasses import dataclass

from runcast.reasons import Reason
from runcast_api.board import cancelled_claims, leases
from runcast_api.maintenance.due_work import ANYWAY_SECONDS, Timed
from runcast_api.runtime import metrics, queue
from runcast_api.runtime.events import RuntimeEventNew
from runcast_api.runtime.sink import RuntimeSink
from runcast_server.db import Pool
from runcast_server.eventlog.log import EventLog
from runcast_server.loops import Loop


@dataclass(frozen=True)
class Upkeep:
    """Each step may be done by any number of processes at once."""

    pool: Pool
    eventlog: EventLog
    sink: RuntimeSink

    def loops(self) -> list[Loop]:
        """Its work at fixed times, as loops."""
        return [Loop("queue samples", self.sample_queue, queue.SAMPLE_SECONDS)]

    def timed(self) -> list[Timed]:
        """Its work that comes due."""
        return [Timed(leases.EXPIRED, Loop("leases", self.give_back, ANYWAY_SECONDS))]

    async def give_back(self) -> None:
        """Takes subtasks from workers whose leases have ended, and reports it; those whose run
        was cancelled have failed instead."""
        await cancelled_claims.fail_missed(self.pool, self.eventlog)
        for lost in await leases.give_back_expired(self.pool, self.eventlog):
            metrics.EXPIRED_LEASES.inc()
            self.sink.add(
                RuntimeEventNew(
                    layer="dispatcher",
                    operation="RETRY" if lost.will_retry else "TASK",
                    reason_code=(
                        Reason.LEASE_EXPIRED if lost.will_retry else Reason.ATTEMPTS_EXHAUSTED
                    ),
                    entity_id=str(lost.subtask_id),
                    task_id=lost.subtask_id,
                    worker_id=lost.worker_id,
                    metadata={"attempt": lost.attempt},
                )
            )

    async def sample_queue(self) -> None:
        """Notes this minute's counts, for the trend."""
        await queue.sample(self.pool)
