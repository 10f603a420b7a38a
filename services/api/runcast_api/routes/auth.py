"""`/auth`: signing in and out, one's sessions, OpenID Connect."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import RedirectResponse, Response

from runcast_api.accounts import oidc, sessions, signing_in
from runcast_api.accounts.listing import moment, text
from runcast_api.accounts.oidc import Journey, OpenId
from runcast_api.accounts.sessions import Session, SessionPage, SignedIn
from runcast_api.accounts.signing_in import Login, LoginLink, PasswordChange
from runcast_api.dependencies import Api, ApiState, Bearer, Caller
from runcast_api.http.pagination import CursorText, Limit
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import answer, no_content
from runcast_api.routes import visitors
from runcast_server.auth import principal
from runcast_server.auth.principal import Principal
from runcast_server.errors import Forbidden, NotFound

router = APIRouter(tags=["sign-in"], route_class=JsonRoute)

PUBLIC_PATHS = frozenset(
    {
        "/auth/login",
        "/auth/login-link",
        "/auth/methods",
        "/auth/oidc/login",
        "/auth/oidc/callback",
    }
)
"""Routes that answer without a token."""


class Me(BaseModel):
    """Who a token stands for: a person, a key, or the holder of a share link (`kind`)."""

    kind: str
    id: UUID | None
    name: str | None
    email: str | None
    is_admin: bool
    project_id: UUID | None
    run_id: UUID | None
    role: str | None
    scopes: list[str]
    expires_at: str | None


class Methods(BaseModel):
    """The ways to sign in here. `oidc` is the provider's issuer."""

    password: bool
    oidc: str | None


@router.post("/auth/login", response_model=SignedIn)
async def sign_in(body: Login, api: ApiState, request: Request) -> Response:
    """Signs in with e-mail address and password, if passwords are turned on."""
    api.people.require_passwords()
    people, visitor = api.people, visitors.visitor(request)
    user_id = await signing_in.by_password(
        api.database, people.passwords, people.sign_ins, body.email, body.password, visitor
    )
    session = await sessions.open_session(
        api.database, user_id, "password", visitor, people.session_hours
    )
    return signed_in(api, request, session, with_cookie=body.cookie)


@router.post("/auth/login-link", response_model=SignedIn)
async def sign_in_by_link(body: LoginLink, api: ApiState, request: Request) -> Response:
    """Signs in with a one-time link's token, which is used up."""
    people, visitor = api.people, visitors.visitor(request)
    user_id = await signing_in.by_link(api.database, people.sign_ins, body.token, visitor)
    session = await sessions.open_session(
        api.database, user_id, "link", visitor, people.session_hours
    )
    return signed_in(api, request, session, with_cookie=body.cookie)


def signed_in(
    api: Api, request: Request, session: Session, *, with_cookie: bool, status: int = 200
) -> Response:
    """The session in the answer, or in a cookie."""
    response = answer(session.as_json(with_token=not with_cookie), status=status)
    if with_cookie:
        visitors.set_session_cookie(api.people, request, response, session)
    return response


@router.post("/auth/logout", status_code=204)
async def sign_out(api: ApiState, caller: Caller, request: Request) -> Response:
    """Ends the session that makes the request."""
    if caller.session_id is not None:
        async with api.database.changing(caller) as connection:
            await sessions.end(connection, caller, caller.session_id)
        api.authenticator.forget()
    response = no_content()
    visitors.drop_session_cookie(api.people, request, response)
    return response


@router.post("/auth/refresh", response_model=SignedIn)
async def refresh(api: ApiState, _: Bearer, request: Request) -> Response:
    """Gives the session a new token that is valid for longer; the old one becomes invalid. Several requests
    with the old token at the same moment each get a new one."""
    token = principal.presented(request.headers, request.url.query)
    session = await sessions.renew(api.database, token, api.people.session_hours)
    api.people.requests.count(sessions.person(UUID(session.user["id"])))
    api.authenticator.forget()
    by_cookie = principal.bearer(request.headers) is None
    return signed_in(api, request, session, with_cookie=by_cookie)


@router.get("/auth/me", response_model=Me)
async def show_me(api: ApiState, caller: Caller) -> Response:
    """Returns what your token stands for, and what it may do."""
    return answer(await _me(api, caller))


async def _me(api: Api, caller: Principal) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "kind": "share" if caller.share_id else "key" if caller.key_id else "user",
        "id": text(caller.share_id or caller.key_id or caller.user_id),
        "name": None,
        "email": None,
        "is_admin": caller.is_admin,
        "project_id": text(caller.project_id),
        "run_id": text(caller.run_id),
        "role": caller.role.name.lower() if caller.role else None,
        "scopes": sorted(caller.scopes),
        "expires_at": moment(caller.expires_at),
    }
    if caller.user_id is not None:
        async with api.database.acting(caller) as connection:
            user = await sessions.user(connection, caller.user_id)
        shown |= {"name": user["name"], "email": user["email"]}
    return shown


@router.patch("/auth/me", response_model=Me)
async def change_me(
    body: PasswordChange, api: ApiState, caller: Caller, request: Request
) -> Response:
    """Changes your name or password. A new password needs the present one, unless you signed in by a link,
    and ends all other sessions."""
    people = api.people
    if body.password is not None:
        people.require_passwords()
    await signing_in.change_own(
        api.database, people.passwords, people.sign_ins, caller, body, visitors.visitor(request)
    )
    if body.password is not None:
        api.authenticator.forget()
    return answer(await _me(api, caller))


@router.get("/auth/sessions", response_model=SessionPage)
async def list_sessions(
    api: ApiState, caller: Caller, limit: Limit = 50, cursor: CursorText = None
) -> Response:
    """Lists your valid sessions."""
    _people_only(caller)
    async with api.database.acting(caller) as connection:
        return answer(await sessions.page(connection, caller, limit, cursor))


@router.delete("/auth/sessions", status_code=204)
async def end_other_sessions(api: ApiState, caller: Caller) -> Response:
    """Ends all of your sessions but the one that makes the request."""
    _people_only(caller)
    async with api.database.changing(caller) as connection:
        await sessions.end_others(connection, caller)
    api.authenticator.forget()
    return no_content()


@router.delete("/auth/sessions/{session}", status_code=204)
async def end_session(session: UUID, api: ApiState, caller: Caller) -> Response:
    """Ends one of your sessions and its streams."""
    _people_only(caller)
    async with api.database.changing(caller) as connection:
        await sessions.end(connection, caller, session)
    api.authenticator.forget()
    return no_content()


@router.get("/auth/methods", response_model=Methods)
async def list_methods(api: ApiState) -> Response:
    """Returns the ways to sign in on this server."""
    openid = api.people.openid
    return answer({"password": api.people.has_passwords, "oidc": openid.issuer if openid else None})


@router.get("/auth/oidc/login", status_code=303, response_class=RedirectResponse)
async def leave_for_provider(
    api: ApiState,
    request: Request,
    return_to: Annotated[str, Query(max_length=500)] = "/ui/",
) -> Response:
    """Redirects the browser to the identity provider, which returns it to the callback."""
    openid = _openid(api)
    await api.people.sign_ins.attempt_from(visitors.visitor(request).address)
    journey = Journey.begin(return_to)
    url = await openid.leave(journey, visitors.url(api.people, request))
    response = RedirectResponse(url, status_code=303, headers={"Cache-Control": "no-store"})
    is_secure = visitors.is_secure(api.people, request)
    name, path = oidc.cookie_place(is_secure=is_secure)
    response.set_cookie(
        name,
        journey.pack(),
        max_age=oidc.COOKIE_SECONDS,
        path=path,
        secure=is_secure,
        httponly=True,
        samesite="lax",
    )
    return response


@router.get("/auth/oidc/callback", status_code=303, response_class=RedirectResponse)
async def come_back(api: ApiState, request: Request) -> Response:
    """Takes the browser back from the identity provider, opens a session, and redirects to the console."""
    openid, people, visitor = _openid(api), api.people, visitors.visitor(request)
    await people.sign_ins.attempt_from(visitor.address)
    is_secure = visitors.is_secure(people, request)
    name, path = oidc.cookie_place(is_secure=is_secure)
    journey = Journey.unpack(principal.cookie(request.headers, name))
    claims = await openid.arrive(journey, dict(request.query_params), visitors.url(people, request))
    user_id = await oidc.person_of(api.database, openid.issuer, claims)
    session = await sessions.open_session(
        api.database, user_id, "oidc", visitor, people.session_hours
    )
    response = RedirectResponse(
        journey.return_to, status_code=303, headers={"Cache-Control": "no-store"}
    )
    response.delete_cookie(name, path=path, secure=is_secure, httponly=True, samesite="lax")
    visitors.set_session_cookie(people, request, response, session)
    return response


def _openid(api: Api) -> OpenId:
    if api.people.openid is None:
        raise NotFound("sign-in with OpenID Connect is not set up here")
    return api.people.openid


def _people_only(caller: Principal) -> None:
    if caller.user_id is None:
        raise Forbidden("only people have sessions")
