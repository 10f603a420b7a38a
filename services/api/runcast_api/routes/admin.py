"""`/admin`: people, the audit log, and messages that could not be taken in."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from runcast_api.accounts import audit, signing_in, users
from runcast_api.accounts.audit import AuditPage
from runcast_api.accounts.idempotent_secrets import Secrets, once_with_secrets
from runcast_api.accounts.users import (
    SignInLink,
    UserMade,
    UserNew,
    UserPage,
    UserPatch,
    UserShown,
)
from runcast_api.dependencies import ApiState, Caller, OnceOnly
from runcast_api.http.pagination import CursorText, Limit
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import answer, no_content
from runcast_api.ingest import rejects
from runcast_api.ingest.rejects import RejectPage
from runcast_api.routes import visitors
from runcast_api.storage import checking
from runcast_api.storage.checking import CheckPage
from runcast_server.auth.principal import Principal
from runcast_server.errors import Forbidden

router = APIRouter(tags=["admin"], route_class=JsonRoute)


@router.get("/admin/users", response_model=UserPage)
async def list_users(
    api: ApiState, caller: Caller, limit: Limit = 50, cursor: CursorText = None
) -> Response:
    """Lists all accounts, newest first."""
    _admins_only(caller)
    async with api.database.acting(caller) as connection:
        return answer(await users.page(connection, limit, cursor))


@router.post("/admin/users", status_code=201, response_model=UserMade)
async def create_user(
    body: UserNew, api: ApiState, caller: Caller, once: OnceOnly, request: Request
) -> Response:
    """Creates an account with a password, or with a link by which its owner signs in once."""
    _admins_only(caller)
    hashed = None
    if body.password is not None:
        api.people.require_passwords()
        address = visitors.visitor(request).address
        hashed = await api.people.passwords.hash(body.password, address)
    async with api.database.changing(caller) as connection:

        async def change() -> tuple[dict[str, Any], Secrets]:
            made = await users.create(connection, caller, body)
            if hashed is not None:
                await signing_in.set_password(connection, UUID(made["id"]), hashed)
                return made | {"sign_in_link": None}, {}
            link = await users.sign_in_link(
                connection, caller, UUID(made["id"]), visitors.url(api.people, request)
            )
            return made, {"sign_in_link": link}

        return await once_with_secrets(once, connection, change)


@router.get("/admin/users/{user}", response_model=UserShown)
async def show_user(user: UUID, api: ApiState, caller: Caller) -> Response:
    """Returns one account."""
    _admins_only(caller)
    async with api.database.acting(caller) as connection:
        return answer(await users.show(connection, user))


@router.patch("/admin/users/{user}", response_model=UserShown)
async def change_user(user: UUID, body: UserPatch, api: ApiState, caller: Caller) -> Response:
    """Makes a person an administrator or not, renames or disables an account. A disabled account's streams
    end within seconds."""
    _admins_only(caller)
    async with api.database.changing(caller) as connection:
        changed = await users.change(connection, caller, user, body)
    api.authenticator.forget()
    return answer(changed)


@router.delete("/admin/users/{user}", status_code=204)
async def delete_user(user: UUID, api: ApiState, caller: Caller) -> Response:
    """Deletes an account with its sessions, keys, links and memberships. What it wrote stays, without a
    name. Tokens of an identity provider for the same person are refused."""
    _admins_only(caller)
    async with api.database.changing(caller) as connection:
        await users.delete(connection, caller, user)
    api.authenticator.forget()
    api.runs.forget()
    return no_content()


@router.post("/admin/users/{user}/sign-in-link", status_code=201, response_model=SignInLink)
async def create_sign_in_link(
    user: UUID, api: ApiState, caller: Caller, request: Request
) -> Response:
    """Creates a link that signs this person in once, within a day: for someone who forgot the password."""
    _admins_only(caller)
    async with api.database.changing(caller) as connection:
        link = await users.sign_in_link(connection, caller, user, visitors.url(api.people, request))
    return answer(link, status=201)


@router.get("/admin/audit", response_model=AuditPage)
async def list_audit(
    api: ApiState,
    caller: Caller,
    action: Annotated[str | None, Query(max_length=100)] = None,
    project_id: UUID | None = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Response:
    """Lists who signed in, and who changed keys, members and people; newest first."""
    _admins_only(caller)
    async with api.database.acting(caller) as connection:
        return answer(await audit.page(connection, action, project_id, limit, cursor))


@router.get("/admin/ingest/rejects", response_model=RejectPage)
async def list_rejects(
    api: ApiState, caller: Caller, limit: Limit = 50, cursor: CursorText = None
) -> Response:
    """Lists messages of workers that weren't accepted, each with the reason; newest first."""
    _admins_only(caller)
    async with api.database.acting(caller) as connection:
        return answer(await rejects.page(connection, limit, cursor))


@router.get("/admin/segments/check", response_model=CheckPage)
async def check_segments(
    api: ApiState,
    caller: Caller,
    seconds: Annotated[float, Query(gt=0, le=20, description="How long to look at most.")] = 5.0,
    cursor: CursorText = None,
) -> Response:
    """Reads stored segments of all projects and lists those that are damaged."""
    _admins_only(caller)
    return answer(await checking.page(api.database, caller, cursor, seconds))


def _admins_only(caller: Principal) -> None:
    if not caller.is_admin:
        raise Forbidden("only for administrators")
