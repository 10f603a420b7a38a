"""`/auth/me/notifications`: what you want to be told where you are, and where."""

from __future__ import annotations

import time
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from runcast_api.dependencies import Api, ApiState, Caller
from runcast_api.http.precondition import IfMatch
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import answer, no_content
from runcast_api.notifications import preferences, presence, targets
from runcast_api.notifications.schemas import (
    Notifications,
    NotificationsSet,
    NotificationTest,
    NotificationTested,
    Presence,
)
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection
from runcast_server.errors import Forbidden, NotFound

router = APIRouter(tags=["notifications"], route_class=JsonRoute)


@router.get("/auth/me/notifications", response_model=Notifications)
async def show_notifications(api: ApiState, caller: Caller) -> Response:
    """Returns what you are told, and where. Addresses that are secrets aren't shown again."""
    return answer(await _shown(api, caller))


@router.put("/auth/me/notifications", response_model=Notifications)
async def set_notifications(
    body: NotificationsSet, api: ApiState, caller: Caller, if_match: IfMatch
) -> Response:
    """Sets what you are told, and where, in the place of what was set before. A target without its address
    keeps the one that it has; one that is left out is removed."""
    user_id = _person(caller)
    allows_private = caller.is_admin or api.notifier.channels.sender.allows_private
    key = await api.notifier.channels.push_key()
    async with api.database.changing(caller) as connection:
        await preferences.lock(connection, user_id)
        await if_match.require(lambda: _shown_in(connection, api, user_id, key))
        await preferences.replace(connection, caller, body, allows_private=allows_private)
    await api.notifier.changed()
    return answer(await _shown(api, caller))


@router.post("/auth/me/notifications/test", response_model=NotificationTested)
async def test_notification(body: NotificationTest, api: ApiState, caller: Caller) -> Response:
    """Sends a test message to a target of yours, once, and answers what came of it, within 20 s."""
    user_id = _person(caller)
    async with api.database.acting(caller) as connection:
        shown = await preferences.show(connection, user_id)
    if body.target not in shown["states"]:
        raise NotFound(f"you have no target {body.target!r}")
    began = time.monotonic()
    outcome = await api.notifier.test(user_id, body.target, is_admin=caller.is_admin)
    return answer(
        {
            "delivered": outcome.error is None,
            "status": outcome.status,
            "error": outcome.error,
            "ms": round(1000 * (time.monotonic() - began)),
        }
    )


@router.put("/auth/me/presence", status_code=204)
async def set_presence(body: Presence, api: ApiState, caller: Caller) -> Response:
    """Says which page of yours is visible and focused. For the next 30 s you aren't told of what it shows."""
    user_id = _person(caller)
    async with api.database.changing(caller) as connection:
        await presence.note(connection, user_id, body.page)
    return no_content()


async def _shown(api: Api, caller: Principal) -> dict[str, object]:
    user_id = _person(caller)
    key = await api.notifier.channels.push_key()
    async with api.database.acting(caller) as connection:
        return await _shown_in(connection, api, user_id, key)


async def _shown_in(connection: Connection, api: Api, user_id: UUID, key: str) -> dict[str, object]:
    shown = await preferences.show(connection, user_id)
    shown["server"] = {
        "push_key": key,
        "has_apprise": targets.HAS_APPRISE,
        "answers": api.notifier.has_answers,
        "targets": shown.pop("states"),
    }
    return shown


def _person(caller: Principal) -> UUID:
    if caller.user_id is None or caller.key_id is not None:
        raise Forbidden("this is a setting of a person; sign in")
    return caller.user_id
