"""`/projects`."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from runcast_api import projects
from runcast_api.dependencies import ApiState, Caller, OnceOnly
from runcast_api.http.idempotency import render
from runcast_api.http.pagination import CursorText, Limit
from runcast_api.http.precondition import IfMatch
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import Answer, answer, no_content
from runcast_api.projects import Project, ProjectNew, ProjectPage, ProjectPatch
from runcast_api.storage import usage
from runcast_api.storage.usage import Storage
from runcast_server.auth import access, rights

router = APIRouter(tags=["projects"], route_class=JsonRoute)


@router.post("/projects", status_code=201, response_model=Project)
async def create_project(
    body: ProjectNew, api: ApiState, caller: Caller, once: OnceOnly
) -> Response:
    """Creates a project and makes you its owner."""
    only_admins = api.resources.settings.auth.project_creation == "admin"
    async with api.database.changing(caller) as connection:

        async def change() -> Answer:
            return Answer(*await projects.create(connection, caller, body, only_admins=only_admins))

        given, is_repeat = await once.do(connection, change)
        head = await projects.head(connection, UUID(given.content["id"]))
    return render(given, is_repeat, head)


@router.get("/projects", response_model=ProjectPage)
async def list_projects(
    api: ApiState, caller: Caller, limit: Limit = 50, cursor: CursorText = None
) -> Response:
    """Lists the projects that you may see, newest first."""
    async with api.database.acting(caller) as connection:
        return answer(await projects.page(connection, caller, limit, cursor))


@router.get("/projects/{project}", response_model=Project)
async def show_project(project: str, api: ApiState, caller: Caller) -> Response:
    """Returns the project, and your role in it."""
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project)
        shown = await projects.show(connection, found.id, found.role.name.lower())
    return answer(shown, head=found.head)


@router.patch("/projects/{project}", response_model=Project)
async def change_project(
    project: str, body: ProjectPatch, api: ApiState, caller: Caller, if_match: IfMatch
) -> Response:
    """Changes the project's name, slug, retention, quota or budget. Members that are absent stay."""
    async with api.database.changing(caller) as connection:
        found = await access.project(connection, caller, project, rights.MANAGE)
        role = found.role.name.lower()
        await projects.lock(connection, found.id)
        await if_match.require(lambda: projects.show(connection, found.id, role))
        changed = await projects.change(connection, caller, found, body, api.bounds)
    return answer(changed, head=found.head)


@router.get("/projects/{project}/storage", response_model=Storage)
async def show_storage(project: str, api: ApiState, caller: Caller) -> Response:
    """Returns how much the project stores, and which retention and quota apply."""
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project)
    await usage.measure(api.database.log, found.id)
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, str(found.id))
        return answer(await usage.show(connection, found.id, api.bounds), head=found.head)


@router.delete("/projects/{project}", status_code=204)
async def delete_project(project: str, api: ApiState, caller: Caller) -> Response:
    """Deletes the project and everything in it. Its streams end at once; rows and objects are removed
    in the background."""
    async with api.database.changing(caller) as connection:
        found = await access.project(connection, caller, project, rights.MANAGE)
        await projects.delete(connection, found.id)
    api.runs.forget()
    await projects.end_streams(api.resources.bus, found.id)
    return no_content()
