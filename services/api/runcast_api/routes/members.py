"""`/projects/{project}/members`, and `/users`: who is there to be made one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from runcast_api.accounts import members, users
from runcast_api.accounts.members import Member, MemberPage, MemberRole
from runcast_api.accounts.users import PeopleFound
from runcast_api.dependencies import ApiState, Caller
from runcast_api.http.fields import NoNul
from runcast_api.http.pagination import CursorText, Limit
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import answer, no_content
from runcast_server.auth import access, rights
from runcast_server.auth.principal import Principal
from runcast_server.errors import Forbidden

router = APIRouter(tags=["people"], route_class=JsonRoute)

Person = Annotated[
    Annotated[str, NoNul],
    Path(max_length=254, description="The person's id, or the e-mail address to sign in with."),
]


@router.get("/users", response_model=PeopleFound)
async def find_users(
    api: ApiState,
    caller: Caller,
    q: Annotated[Annotated[str, NoNul], Query(min_length=3, max_length=254)],
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Response:
    """Finds people with `q` in their name or e-mail address. For owners of a project and administrators."""
    async with api.database.acting(caller) as connection:
        return answer(await users.find(connection, q, limit))


@router.get("/projects/{project}/members", response_model=MemberPage)
async def list_members(
    project: str, api: ApiState, caller: Caller, limit: Limit = 50, cursor: CursorText = None
) -> Response:
    """Lists the members with their roles."""
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project)
        _not_by_link(caller)
        page = await members.page(connection, found.id, limit, cursor)
    return answer(page, head=found.head)


@router.get("/projects/{project}/members/{user}", response_model=Member)
async def show_member(project: str, user: Person, api: ApiState, caller: Caller) -> Response:
    """Returns one member."""
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project)
        _not_by_link(caller)
        user_id = await members.named(connection, found.id, user)
        return answer(await members.show(connection, found.id, user_id), head=found.head)


@router.put("/projects/{project}/members/{user}", response_model=Member)
async def set_member(
    project: str, user: Person, body: MemberRole, api: ApiState, caller: Caller
) -> Response:
    """Adds a person who has an account as a member, or changes a member's role."""
    async with api.database.changing(caller) as connection:
        found = await access.project(connection, caller, project, rights.MANAGE)
        user_id = access.as_uuid(user) or await users.at_address(connection, user)
        member = await members.put(connection, caller, found.id, user_id, body.role)
    api.runs.forget()
    return answer(member, head=found.head)


@router.delete("/projects/{project}/members/{user}", status_code=204)
async def remove_member(project: str, user: Person, api: ApiState, caller: Caller) -> Response:
    """Removes a member. You may remove yourself, unless you are the last owner."""
    async with api.database.changing(caller) as connection:
        found = await access.project(connection, caller, project)
        user_id = await members.named(connection, found.id, user)
        if user_id is None or user_id != caller.user_id:
            access.require(found.role, rights.MANAGE)
        await members.remove(connection, caller, found.id, user_id)
    api.runs.forget()
    return no_content(found.head)


def _not_by_link(caller: Principal) -> None:
    if caller.share_id is not None:
        raise Forbidden("a share link shows no people")
