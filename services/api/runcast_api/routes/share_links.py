"""`/projects/{project}/share-links` and stream tickets: ways in for those who can't send a header."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from runcast_api.accounts import share_links
from runcast_api.accounts.idempotent_secrets import Secrets, once_with_secrets
from runcast_api.accounts.listing import moment
from runcast_api.accounts.share_links import ShareLinkMade, ShareLinkNew, ShareLinkPage
from runcast_api.dependencies import ApiState, Caller, OnceOnly
from runcast_api.http.pagination import CursorText, Limit
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import answer, no_content
from runcast_api.routes import visitors
from runcast_server.auth import access, rights, tickets
from runcast_server.errors import Forbidden

router = APIRouter(tags=["people"], route_class=JsonRoute)


class Ticket(BaseModel):
    """Opens one stream of the project (`?ticket=`), once, until `expires_at`."""

    ticket: str
    expires_at: str


@router.post("/projects/{project}/share-links", status_code=201, response_model=ShareLinkMade)
async def create_share_link(
    project: str,
    api: ApiState,
    caller: Caller,
    once: OnceOnly,
    request: Request,
    body: ShareLinkNew | None = None,
) -> Response:
    """Creates a link by which anyone who has it can read the run or the project."""
    async with api.database.changing(caller) as connection:
        found = await access.project(connection, caller, project, rights.SHARE)

        async def change() -> tuple[dict[str, Any], Secrets]:
            made, token = await share_links.create(
                connection, caller, found.id, body or ShareLinkNew()
            )
            return made, {
                "token": token,
                "url": f"{visitors.url(api.people, request)}/ui/share/{token}",
            }

        return await once_with_secrets(once, connection, change, found.head)


@router.get("/projects/{project}/share-links", response_model=ShareLinkPage)
async def list_share_links(
    project: str, api: ApiState, caller: Caller, limit: Limit = 50, cursor: CursorText = None
) -> Response:
    """Lists the project's valid share links, without their tokens."""
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project, rights.SHARE)
        page = await share_links.page(connection, found.id, limit, cursor)
    return answer(page, head=found.head)


@router.delete("/share-links/{link}", status_code=204)
async def revoke_share_link(link: UUID, api: ApiState, caller: Caller) -> Response:
    """Revokes a share link. Its streams end within seconds."""
    async with api.database.changing(caller) as connection:
        await share_links.revoke(connection, caller, link)
    api.authenticator.forget()
    return no_content()


@router.post("/projects/{project}/stream-tickets", status_code=201, response_model=Ticket)
async def create_stream_ticket(project: str, api: ApiState, caller: Caller) -> Response:
    """Creates a ticket for `EventSource`, which can't send a header."""
    async with api.database.changing(caller) as connection:
        found = await access.project(connection, caller, project)
        if caller.share_id is not None:
            raise Forbidden("a share link opens streams by itself: ?share=")
        ticket, expires_at = await tickets.issue(connection, caller, found.id)
    made = {"ticket": ticket, "expires_at": moment(expires_at)}
    return answer(made, status=201, head=found.head)
