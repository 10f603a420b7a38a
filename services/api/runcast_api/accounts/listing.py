"""Pages of small lists, newest first, all in one form."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from runcast_api.http import pagination
from runcast_api.http.pagination import Place
from runcast_server.db import Connection
from runcast_server.runs import in_milliseconds

Show = Callable[[Any], dict[str, Any]]


async def page(
    connection: Connection,
    plural: str,
    rows: str,
    arguments: tuple[Any, ...],
    show: Show,
    limit: int,
    cursor: str | None,
) -> dict[str, Any]:
    """A page of the query `rows`, whose columns include `id` and `created_at`.

    The cursor belongs to this query with these arguments. Raises `Invalid` for another one.
    """
    query = (plural, *arguments)
    place = pagination.read(cursor, *query)
    at, id, count = (f"${len(arguments) + n}" for n in (1, 2, 3))
    found = await connection.fetch(
        f"""SELECT * FROM ({rows}) t
            WHERE {at}::timestamptz IS NULL OR (t.created_at, t.id) < ({at}, {id}::uuid)
            ORDER BY t.created_at DESC, t.id DESC LIMIT {count}""",
        *arguments,
        place and place.at,
        place and place.id,
        limit + 1,
    )
    last = found[limit - 1] if len(found) > limit else None
    return {
        plural: [show(row) for row in found[:limit]],
        "total": await connection.fetchval(f"SELECT count(*) FROM ({rows}) t", *arguments),
        "next_cursor": last and pagination.after(Place(last["created_at"], last["id"]), *query),
    }


def moment(at: datetime | None) -> str | None:
    """A time as answers show it, or none."""
    return None if at is None else in_milliseconds(at)


def text(id: Any) -> str | None:
    """An id as answers show it, or none."""
    return None if id is None else str(id)
