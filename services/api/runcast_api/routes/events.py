"""`/projects/{project}/events/history`: the events of the stream, as pages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from runcast_api.dependencies import ApiState, Caller
from runcast_api.http.many import Separated
from runcast_api.http.pagination import Limit
from runcast_api.http.responses import answer
from runcast_api.routes.run_filters import SEVERAL
from runcast_api.runs import history
from runcast_api.runs.history import LAST, EventPage, Wanted
from runcast_server.auth import access
from runcast_server.errors import Invalid, NotFound

router = APIRouter(tags=["events"])

Number = Annotated[int | None, Query(ge=0, le=LAST)]


@router.get("/projects/{project}/events/history", response_model=EventPage)
async def read_history(
    project: str,
    api: ApiState,
    caller: Caller,
    after: Number = None,
    before: Number = None,
    types: Annotated[list[str] | None, Separated, Query(description=SEVERAL)] = None,
    run_id: Annotated[str | None, Query(description="A run's id or key.")] = None,
    limit: Limit = 50,
) -> Response:
    """Returns events of the project, oldest first; with `before` alone, the last ones before it. Page
    forwards with `after` = `next_after`, backwards with `before` = `next_before`, until that is null. Share
    links see no questions."""
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project)
        run = None
        if run_id is not None:
            run, home = await access.run_id(connection, caller, run_id, str(found.id))
            if home.id != found.id:
                raise NotFound(f"no run {run_id!r} in this project")
        if after is not None and before is not None and after > before:
            raise Invalid.of("query.before", "lies before `after`: no event is in between")
        wanted = Wanted(found.id, after, before, history.types_of(types), run)
        page = await history.page(connection, wanted, limit)
    page["events"] = history.visible_to(caller, page["events"])
    return answer(page, head=found.head)
