"""`/invitations`."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from runcast_api.accounts import invitations, sessions, signing_in
from runcast_api.accounts.idempotent_secrets import Secrets, once_with_secrets
from runcast_api.accounts.invitations import (
    Acceptance,
    Invitation,
    InvitationMade,
    InvitationNew,
    InvitationOpened,
    InvitationPage,
)
from runcast_api.accounts.sessions import SignedIn
from runcast_api.dependencies import Api, ApiState, Caller, OnceOnly
from runcast_api.http.pagination import CursorText, Limit
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import answer, no_content
from runcast_api.routes import visitors
from runcast_api.routes.auth import signed_in
from runcast_server.auth import access, principal, rights
from runcast_server.auth.principal import ANONYMOUS, Principal
from runcast_server.db import Connection, acquire, act_as
from runcast_server.errors import Conflict, Forbidden, Invalid, Unauthenticated

router = APIRouter(tags=["people"], route_class=JsonRoute)

PUBLIC_PATHS = frozenset({"/invitations/{token}", "/invitations/{token}/accept"})
"""Routes that answer to the holder of the invitation's secret, without another token."""

UNCONFIRMED = "an administrator has to confirm this invitation first"

Secret = Annotated[str, Path(max_length=200)]


@router.post("/invitations", status_code=201, response_model=InvitationMade)
async def invite(
    body: InvitationNew, api: ApiState, caller: Caller, once: OnceOnly, request: Request
) -> Response:
    """Invites an e-mail address to a project (its owners) or to the server (administrators)."""
    async with api.database.changing(caller) as connection:
        project_id = await _place(connection, caller, body.project)

        async def change() -> tuple[dict[str, Any], Secrets]:
            made, token = await invitations.create(
                connection,
                caller,
                body,
                project_id,
                needs_confirmation=api.people.confirms_invitations and not caller.is_admin,
            )
            url = f"{visitors.url(api.people, request)}/ui/invitations/{token}"
            return made, {"token": token, "url": url}

        return await once_with_secrets(once, connection, change)


async def _place(connection: Connection, caller: Principal, project: str | None) -> UUID | None:
    if project is not None:
        return (await access.project(connection, caller, project, rights.MANAGE)).id
    if not caller.is_admin:
        raise Forbidden("only administrators invite to the server; name a project")
    return None


@router.get("/invitations", response_model=InvitationPage)
async def list_invitations(
    api: ApiState,
    caller: Caller,
    project: Annotated[str | None, Query(max_length=100)] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Response:
    """Lists invitations that weren't revoked: a project's for its owners, all for administrators."""
    async with api.database.acting(caller) as connection:
        project_id = await _place(connection, caller, project)
        return answer(await invitations.page(connection, project_id, limit, cursor))


@router.delete("/invitations/{invitation}", status_code=204)
async def revoke_invitation(invitation: UUID, api: ApiState, caller: Caller) -> Response:
    """Revokes an invitation: its link stops working."""
    async with api.database.changing(caller) as connection:
        await invitations.revoke(connection, caller, invitation)
    return no_content()


@router.post("/invitations/{invitation}/confirm", response_model=Invitation)
async def confirm_invitation(invitation: UUID, api: ApiState, caller: Caller) -> Response:
    """Lets an invitation by someone who isn't an administrator create an account."""
    if not caller.is_admin:
        raise Forbidden("only administrators confirm invitations")
    async with api.database.changing(caller) as connection:
        return answer(await invitations.confirm(connection, caller, invitation))


@router.get("/invitations/{token}", response_model=InvitationOpened)
async def open_invitation(token: Secret, api: ApiState) -> Response:
    """Returns what an invitation is for, to the holder of its link."""
    return answer((await invitations.look(api.database, token)).as_json())


@router.post("/invitations/{token}/accept", status_code=201, response_model=SignedIn)
async def accept_invitation(
    token: Secret, body: Acceptance, api: ApiState, request: Request
) -> Response:
    """Accepts an invitation and signs in. An address that has an account proves it with its password or a
    session of it. For another address an account is created, if passwords are turned on and the invitation
    is confirmed."""
    opened = await invitations.look(api.database, token)
    user_id = await _join(api, request, token, body, opened)
    session = await sessions.open_session(
        api.database, user_id, "invitation", visitors.visitor(request), api.people.session_hours
    )
    api.runs.forget()
    return signed_in(api, request, session, with_cookie=body.cookie, status=201)


async def _join(
    api: Api, request: Request, token: str, body: Acceptance, opened: invitations.Open
) -> UUID:
    people, visitor = api.people, visitors.visitor(request)
    user_id = await _signed_in(api, request, opened)
    if user_id is None:
        people.require_passwords()
        if opened.user_id is not None or not opened.is_confirmed:
            user_id = await _proven(api, request, body, opened)
    if user_id is not None:
        async with acquire(api.database.accounts) as connection, connection.transaction():
            await act_as(connection, sessions.person(user_id))
            return await invitations.accept(connection, token, user_id, None)
    if body.name is None:
        raise Invalid.of("body.name", "a new account needs a name")
    await people.sign_ins.attempt(visitor.address, opened.email)
    hashed = await people.passwords.hash(body.password, visitor.address)
    async with acquire(api.database.accounts) as connection, connection.transaction():
        await act_as(connection, ANONYMOUS)
        user_id = await invitations.accept(connection, token, None, body.name)
        await act_as(connection, sessions.person(user_id))
        await signing_in.set_password(connection, user_id, hashed)
    return user_id


async def _signed_in(api: Api, request: Request, opened: invitations.Open) -> UUID | None:
    """The account of the invited address, where the request carries a session of it."""
    shown = principal.presented(request.headers)
    if shown is None:
        return None
    try:
        caller = await api.authenticator.principal(shown)
    except Unauthenticated:
        return None
    is_theirs = caller.user_id is not None and caller.user_id == opened.user_id
    return caller.user_id if is_theirs else None


async def _proven(api: Api, request: Request, body: Acceptance, opened: invitations.Open) -> UUID:
    """The account of the invited address, proven by its password. While the invitation isn't confirmed, a
    wrong one and an address without an account are answered alike, in the same time."""
    try:
        user_id = await signing_in.by_password(
            api.database,
            api.people.passwords,
            api.people.sign_ins,
            opened.email,
            body.password,
            visitors.visitor(request),
        )
        if user_id == opened.user_id:
            return user_id
    except Unauthenticated:
        pass
    if not opened.is_confirmed:
        raise Conflict(UNCONFIRMED)
    raise Unauthenticated(signing_in.WRONG)
