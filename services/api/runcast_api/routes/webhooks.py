"""`/projects/{project}/webhooks`: where a project's events are sent. Owners manage them."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import Response

from runcast._support import times
from runcast_api.accounts.idempotent_secrets import Secrets, once_with_secrets
from runcast_api.dependencies import ApiState, Caller, OnceOnly
from runcast_api.http.pagination import CursorText, Limit
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import answer, no_content
from runcast_api.webhooks import hooks
from runcast_api.webhooks.hooks import (
    Delivery,
    DeliveryPage,
    Webhook,
    WebhookMade,
    WebhookNew,
    WebhookPage,
    WebhookPatch,
    WebhookRotation,
)
from runcast_server.auth import access, rights

router = APIRouter(tags=["webhooks"], route_class=JsonRoute)


class WebhookTested(BaseModel):
    """What came of an attempt: the receiver's status, and why it failed; `error` is null where it took it."""

    delivered: bool
    status: int | None
    error: str | None
    ms: int


@router.post("/projects/{project}/webhooks", status_code=201, response_model=WebhookMade)
async def create_webhook(
    project: str, body: WebhookNew, api: ApiState, caller: Caller, once: OnceOnly
) -> Response:
    """Sends the project's events of some types to an address, from now on. The secret that signs them is
    shown this once."""
    hooks.check_url(body.url, allows_private=api.webhooks.sender.allows_private)
    async with api.database.changing(caller) as connection:
        found = await access.project(connection, caller, project, rights.MANAGE)

        async def change() -> tuple[dict[str, Any], Secrets]:
            made, secret = await hooks.create(connection, caller, found.id, body)
            return made, {"secret": secret}

        response = await once_with_secrets(once, connection, change, found.head)
    api.webhooks.changed()
    return response


@router.get("/projects/{project}/webhooks", response_model=WebhookPage)
async def list_webhooks(
    project: str, api: ApiState, caller: Caller, limit: Limit = 50, cursor: CursorText = None
) -> Response:
    """The project's webhooks, without their secrets."""
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project, rights.MANAGE)
        page = await hooks.page(connection, found.id, limit, cursor)
    return answer(page, head=found.head)


@router.get("/projects/{project}/webhooks/{webhook}", response_model=Webhook)
async def show_webhook(project: str, webhook: UUID, api: ApiState, caller: Caller) -> Response:
    """One webhook, without its secret."""
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project, rights.MANAGE)
        return answer(await hooks.find(connection, found.id, webhook), head=found.head)


@router.patch("/projects/{project}/webhooks/{webhook}", response_model=Webhook)
async def update_webhook(
    project: str, webhook: UUID, body: WebhookPatch, api: ApiState, caller: Caller
) -> Response:
    """Changes where and what is sent, or turns it off and on. Turned on again it begins at the present."""
    if body.url is not None:
        hooks.check_url(body.url, allows_private=api.webhooks.sender.allows_private)
    async with api.database.changing(caller) as connection:
        found = await access.project(connection, caller, project, rights.MANAGE)
        changed = await hooks.change(connection, caller, found.id, webhook, body)
    api.webhooks.changed()
    return answer(changed)


@router.delete("/projects/{project}/webhooks/{webhook}", status_code=204)
async def delete_webhook(project: str, webhook: UUID, api: ApiState, caller: Caller) -> Response:
    """Removes a webhook with its deliveries."""
    async with api.database.changing(caller) as connection:
        found = await access.project(connection, caller, project, rights.MANAGE)
        await hooks.remove(connection, caller, found.id, webhook)
    return no_content()


@router.post(
    "/projects/{project}/webhooks/{webhook}/rotate", status_code=201, response_model=WebhookMade
)
async def rotate_webhook_secret(
    project: str,
    webhook: UUID,
    api: ApiState,
    caller: Caller,
    once: OnceOnly,
    body: WebhookRotation | None = None,
) -> Response:
    """Makes a new secret, shown this once. For a while both sign what is sent."""
    async with api.database.changing(caller) as connection:
        found = await access.project(connection, caller, project, rights.MANAGE)

        async def change() -> tuple[dict[str, Any], Secrets]:
            how = body or WebhookRotation()
            changed, secret = await hooks.rotate(connection, caller, found.id, webhook, how)
            return changed, {"secret": secret}

        return await once_with_secrets(once, connection, change, found.head)


@router.post("/projects/{project}/webhooks/{webhook}/test", response_model=WebhookTested)
async def test_webhook(project: str, webhook: UUID, api: ApiState, caller: Caller) -> Response:
    """Sends an event of the type `webhook:test`, once, and answers what came of it, within 20 s."""
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project, rights.MANAGE)
        await hooks.find(connection, found.id, webhook)
    began = time.monotonic()
    now = times.to_milliseconds(times.now())
    # The moment stands for a number, so that each test has an id of its own.
    event = {
        "id": time.time_ns() // 1_000_000,
        "type": "webhook:test",
        "at": now,
        "data": {"at": now},
    }
    outcome = await api.webhooks.test(webhook, event)
    return answer(
        {
            "delivered": outcome.error is None,
            "status": outcome.status,
            "error": outcome.error,
            "ms": round(1000 * (time.monotonic() - began)),
        }
    )


@router.get("/projects/{project}/webhooks/{webhook}/deliveries", response_model=DeliveryPage)
async def list_deliveries(
    project: str,
    webhook: UUID,
    api: ApiState,
    caller: Caller,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Response:
    """What was sent to a webhook within 7 days, at most the last 1,000, and what is to be sent again."""
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project, rights.MANAGE)
        await hooks.find(connection, found.id, webhook)
        page = await hooks.deliveries(connection, webhook, limit, cursor)
    return answer(page, head=found.head)


@router.post("/deliveries/{delivery}/redeliver", status_code=202, response_model=Delivery)
async def redeliver(delivery: UUID, api: ApiState, caller: Caller) -> Response:
    """Sends an event again at once, with the same id."""
    async with api.database.changing(caller) as connection:
        sent = await hooks.redeliver(connection, caller, delivery)
    api.webhooks.changed()
    return answer(sent, status=202)
