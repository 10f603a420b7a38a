"""`/projects/{project}/members`."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from runcast_api.accounts import members
from runcast_api.accounts.members import Member, MemberPage, MemberRole
from runcast_api.dependencies import ApiState, Caller
from runcast_api.http.pagination import CursorText, Limit
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import answer, no_content
from runcast_server.auth import access, rights
from runcast_server.auth.principal import Principal
from runcast_server.errors import Forbidden

router = APIRouter(tags=["people"], route_class=JsonRoute)


@router.get("/projects/{project}/members", response_model=MemberPage)
async def list_members(
    project: str, api: ApiState, caller: Caller, limit: Limit = 50, cursor: CursorText = None
) -> Response:
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project)
        _not_by_link(caller)
        page = await members.page(connection, found.id, limit, cursor)
    return answer(page, head=found.head)


@router.get("/projects/{project}/members/{user}", response_model=Member)
async def show_member(project: str, user: UUID, api: ApiState, caller: Caller) -> Response:
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project)
        _not_by_link(caller)
        return answer(await members.show(connection, found.id, user), head=found.head)


@router.put("/projects/{project}/members/{user}", response_model=Member)
async def set_member(
    project: str, user: UUID, body: MemberRole, api: ApiState, caller: Caller
) -> Response:
    """Makes somebody who has an account a member, or gives a member another role."""
    async with api.database.changing(caller) as connection:
        found = await access.project(connection, caller, project, rights.MANAGE)
        member = await members.put(connection, caller, found.id, user, body.role)
    api.runs.forget()
    return answer(member, head=found.head)


@router.delete("/projects/{project}/members/{user}", status_code=204)
async def remove_member(project: str, user: UUID, api: ApiState, caller: Caller) -> Response:
    """Ends a membership; everybody may end his own, unless he is the last owner."""
    needs = rights.READ if caller.user_id == user else rights.MANAGE
    async with api.database.changing(caller) as connection:
        found = await access.project(connection, caller, project, needs)
        await members.remove(connection, caller, found.id, user)
    api.runs.forget()
    return no_content(found.head)


def _not_by_link(caller: Principal) -> None:
    if caller.share_id is not None:
        raise Forbidden("a share link shows no people")
