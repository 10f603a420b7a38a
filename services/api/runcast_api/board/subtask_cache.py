"""Subtasks as they were last shown: a board is asked for again and again, and little of it changes.

A row's version is its `xmin`: the transaction that wrote it. In a snapshot that sees only what is committed,
a row with the same `xmin` is the same row. So a list reads ids and versions, and builds again what it hasn't
shown before; what the caller may see is decided by that read, as always. Only reads may use this: within the
transaction that writes a row, several versions have one `xmin`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import orjson

from runcast_api.board.schemas import COLUMNS, as_json
from runcast_server.db import Connection

MAX_SUBTASKS = 50_000
MAX_BYTES = 4096
"""Of one subtask: a larger one is built each time."""

# By the index, task by task: sorting thousands of rows would go to disk.
_VERSIONS = """
SELECT w.place, s.id, s.xmin FROM unnest($1::uuid[]) WITH ORDINALITY AS w (id, place), LATERAL (
    SELECT t.id, t.xmin FROM tasks t WHERE t.parent_id = w.id ORDER BY t.position, t.id) s
"""
_ROWS = (
    f"SELECT {COLUMNS}, t.id AS row_id, t.xmin AS version FROM tasks t WHERE t.id = ANY($1::uuid[])"
)


class _Shown(NamedTuple):
    version: int
    size: int
    json: orjson.Fragment


class Rendered:
    """One per process."""

    def __init__(self) -> None:
        self._shown: dict[UUID, _Shown] = {}

    async def of_tasks(
        self, connection: Connection, task_ids: Sequence[str]
    ) -> dict[str, list[orjson.Fragment]]:
        """The subtasks of tasks as JSON, each list by position. `connection` reads one snapshot."""
        versions = await connection.fetch(_VERSIONS, [UUID(id) for id in task_ids])
        known = self._shown
        absent = [
            id
            for _, id, xmin in versions
            if (held := known.get(id)) is None or held.version != xmin
        ]
        fresh = await _render(connection, absent) if absent else {}
        lists: list[list[orjson.Fragment]] = [[] for _ in task_ids]
        for place, id, _ in versions:
            lists[place - 1].append((fresh.get(id) or known[id]).json)
        self._keep(fresh)
        return dict(zip(task_ids, lists, strict=True))

    def _keep(self, fresh: dict[UUID, _Shown]) -> None:
        if len(self._shown) + len(fresh) > MAX_SUBTASKS:
            self._shown = {}
        for id, shown in fresh.items():
            if shown.size <= MAX_BYTES:
                self._shown[id] = shown


async def _render(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, _Shown]:
    rows = await connection.fetch(_ROWS, ids)
    names = tuple(rows[0].keys())
    fresh: dict[UUID, _Shown] = {}
    for row in rows:
        # A third of the time that asking the row for each name takes.
        members = dict(zip(names, row, strict=True))
        id, version = members.pop("row_id"), members.pop("version")
        encoded = orjson.dumps(as_json(members))
        fresh[id] = _Shown(version, len(encoded), orjson.Fragment(encoded))
    return fresh
