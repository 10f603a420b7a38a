"""People who are told: a local server that behaves like ntfy's, and looks of the notifier by hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from runcast_api.dependencies import Api
from runcast_api.notifications.notifier import Notifier
from tests.integration.receivers import Receiver, receiving
from tests.integration.rest import Rest

SETTINGS = "/auth/me/notifications"
EVERYTHING = ["permission", "question", "plan", "error", "failed", "completed", "stalled", "budget"]


@dataclass
class Ntfy:
    """ntfy's publishing as JSON: what was published to its topics, and what a subscriber's phone then
    shows."""

    receiver: Receiver

    @property
    def host(self) -> str:
        return self.receiver.url.split("/")[2]

    @property
    def published(self) -> list[dict[str, Any]]:
        """Each message, in order; all were POSTs to the server's root, which take a topic in the body."""
        assert {got.path for got in self.receiver.got} <= {"/"}
        return [orjson.loads(got.body) for got in self.receiver.got]

    @property
    def shown(self) -> list[dict[str, Any]]:
        """A message with the sequence id of an earlier one takes its place."""
        return list({one["sequence_id"]: one for one in self.published}.values())

    def target(self, **fields: Any) -> dict[str, Any]:
        return {"id": "phone", "kind": "ntfy", "url": f"http://{self.host}/topic"} | fields


@contextlib.asynccontextmanager
async def ntfy() -> AsyncIterator[Ntfy]:
    async with receiving() as receiver:
        receiver.always = 200
        yield Ntfy(receiver)


def notifier(rest: Rest) -> Notifier:
    assert rest.service.app is not None
    api: Api = rest.service.app.state.api
    return api.notifier


async def tell(rest: Rest, *, ahead: float = 0) -> None:
    """What is due then, told: one look finds it, the next one sends it."""
    telling = notifier(rest)
    telling.ahead = timedelta(seconds=ahead)
    for _ in range(2):
        await telling.look()
        while working := list(telling.jobs.running.values()):
            await asyncio.wait(working)


async def set_up(
    rest: Rest, headers: dict[str, str], *targets: dict[str, Any], **rule: Any
) -> dict[str, Any]:
    """Tells a person everything at once at these targets."""
    told = {"when": EVERYTHING, "after_s": 0, "to": [one["id"] for one in targets]} | rule
    details = told.pop("details", False)
    body = {"rules": [told], "targets": list(targets), "details": details}
    answer = await rest.admin.put(SETTINGS, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown
