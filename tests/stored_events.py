"""What Postgres holds, as one row an event: for tests that compare it with what was delivered."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from runcast_server.db import Connection
from runcast_server.eventlog import segments, stored


class StoredEvent(NamedTuple):
    """One event of the log."""

    seq: int
    at: datetime
    type: str
    run_id: UUID | None
    line_number: int | None
    data: str

    @property
    def frame(self) -> str:
        return f"id: {self.seq}\nevent: {self.type}\ndata: {self.data}\n\n"


async def of_project(connection: Connection, project_id: UUID) -> list[StoredEvent]:
    """All events of a project, in order."""
    rows = await connection.fetch(
        f"SELECT {stored.COLUMNS} FROM segments WHERE project_id = $1", project_id
    )
    return _events(rows)


async def of_run(connection: Connection, run_id: UUID) -> list[StoredEvent]:
    """All events of a run, in order."""
    rows = await connection.fetch(
        f"SELECT {stored.COLUMNS} FROM segments WHERE run_id = $1", run_id
    )
    return _events(rows)


def _events(rows: list[Any]) -> list[StoredEvent]:
    found: list[StoredEvent] = []
    for segment, at in stored.in_order(rows, 0, 2**62):
        for place, (type, data) in enumerate(segments.datas(segment)):
            line = segment.first_line + place if segment.is_log else None
            found.append(
                StoredEvent(segment.first + place, at, type, segment.run_id, line, data.decode())
            )
    return found
