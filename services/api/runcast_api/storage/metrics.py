"""What the log takes, for `/metrics`: of the largest projects by name, and of all together."""

from __future__ import annotations

from prometheus_client import Gauge

from runcast_server.db import Pool, acquire
from runcast_server.loops import Loop

LOOK_SECONDS = 15.0
LARGEST = 20
MOST_NAMES = 200
"""Projects that one process names in its life: a label that was once used stays."""

PROJECT_BYTES = Gauge(
    "runcast_project_bytes",
    "Bytes that the logs of the largest projects take, of those that are counted (docs/storage.md).",
    ["project"],
    multiprocess_mode="livemax",
)
DATABASE_BYTES = Gauge(
    "runcast_database_bytes", "Bytes that the whole database takes.", multiprocess_mode="livemax"
)

_LARGEST = """
SELECT p.slug, s.bytes FROM project_storage s JOIN projects p ON p.id = s.project_id
WHERE p.deleted_at IS NULL AND s.bytes > 0 ORDER BY s.bytes DESC LIMIT $1
"""
_DATABASE = "SELECT pg_database_size(current_database())"


class StorageMetrics:
    """Looks now and then."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._named: set[str] = set()

    def loops(self) -> list[Loop]:
        """Its work as loops."""
        return [Loop("storage metrics", self.look, LOOK_SECONDS)]

    async def look(self) -> None:
        """Sets the gauges to what the database says now."""
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(_LARGEST, LARGEST)
            DATABASE_BYTES.set(await connection.fetchval(_DATABASE))
        largest = {row["slug"]: row["bytes"] for row in rows}
        for slug in largest.keys() - self._named:
            if len(self._named) < MOST_NAMES:
                self._named.add(slug)
        for slug in self._named:
            PROJECT_BYTES.labels(slug).set(largest.get(slug, 0))
