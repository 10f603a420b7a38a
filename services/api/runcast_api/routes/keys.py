"""`/projects/{project}/keys` and `/keys`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from runcast_api.accounts import keys
from runcast_api.accounts.idempotent_secrets import Secrets, once_with_secrets
from runcast_api.accounts.keys import AdminKeyNew, Key, KeyMade, KeyNew, KeyPage, Rotation
from runcast_api.dependencies import ApiState, Caller, OnceOnly
from runcast_api.http.pagination import CursorText, Limit
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import answer, no_content
from runcast_server.auth import access, rights
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection
from runcast_server.errors import Forbidden, NotFound

router = APIRouter(tags=["keys"], route_class=JsonRoute)


@router.post("/projects/{project}/keys", status_code=201, response_model=KeyMade)
async def create_key(
    project: str, body: KeyNew, api: ApiState, caller: Caller, once: OnceOnly
) -> Response:
    """Creates an API key of the project. The secret is returned only here."""
    async with api.database.changing(caller) as connection:
        found = await access.project(connection, caller, project, rights.MANAGE)

        async def change() -> tuple[dict[str, Any], Secrets]:
            made, token = await keys.create(connection, caller, body, found.id, api.key_days)
            return made, {"token": token}

        return await once_with_secrets(once, connection, change, found.head)


@router.get("/projects/{project}/keys", response_model=KeyPage)
async def list_keys(
    project: str, api: ApiState, caller: Caller, limit: Limit = 50, cursor: CursorText = None
) -> Response:
    """Lists the project's valid keys, without their secrets."""
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project, rights.MANAGE)
        page = await keys.page(connection, found.id, limit, cursor)
    return answer(page, head=found.head)


@router.post("/keys", status_code=201, response_model=KeyMade)
async def create_admin_key(
    body: AdminKeyNew, api: ApiState, caller: Caller, once: OnceOnly
) -> Response:
    """Creates an administrator's key. The secret is returned only here."""
    _admins_only(caller)
    async with api.database.changing(caller) as connection:

        async def change() -> tuple[dict[str, Any], Secrets]:
            made, token = await keys.create(connection, caller, body, None, None)
            return made, {"token": token}

        return await once_with_secrets(once, connection, change)


@router.get("/keys", response_model=KeyPage)
async def list_all_keys(
    api: ApiState, caller: Caller, limit: Limit = 50, cursor: CursorText = None
) -> Response:
    """Lists all keys of the server."""
    _admins_only(caller)
    async with api.database.acting(caller) as connection:
        return answer(await keys.page(connection, None, limit, cursor))


@router.get("/keys/{key}", response_model=Key)
async def show_key(key: UUID, api: ApiState, caller: Caller) -> Response:
    """Returns a key, without its secret."""
    async with api.database.acting(caller) as connection:
        await _manageable(connection, caller, key)
        return answer(await keys.show(connection, key))


@router.delete("/keys/{key}", status_code=204)
async def revoke_key(key: UUID, api: ApiState, caller: Caller) -> Response:
    """Revokes a key. Its streams end within seconds."""
    async with api.database.changing(caller) as connection:
        await _manageable(connection, caller, key)
        await keys.revoke(connection, caller, key)
    api.authenticator.forget()
    return no_content()


@router.post("/keys/{key}/rotate", status_code=201, response_model=KeyMade)
async def rotate_key(
    key: UUID, api: ApiState, caller: Caller, once: OnceOnly, body: Rotation | None = None
) -> Response:
    """Creates a key like this one. The old one keeps working for `overlap_s` seconds."""
    overlap = (body or Rotation()).overlap_s
    async with api.database.changing(caller) as connection:
        await _manageable(connection, caller, key)

        async def change() -> tuple[dict[str, Any], Secrets]:
            made, token = await keys.rotate(connection, caller, key, overlap)
            return made, {"token": token}

        response = await once_with_secrets(once, connection, change)
    api.authenticator.forget()
    return response


async def _manageable(connection: Connection, caller: Principal, key: UUID) -> None:
    """Raises `NotFound` or `Forbidden` unless the caller owns the key's project, or is an administrator."""
    project_id = (await keys.show(connection, key))["project_id"]
    if project_id is not None:
        await access.inside(connection, caller, UUID(project_id), "no such key", rights.MANAGE)
    elif not caller.is_admin:
        raise NotFound("no such key")


def _admins_only(caller: Principal) -> None:
    if not caller.is_admin:
        raise Forbidden("only for administrators")
