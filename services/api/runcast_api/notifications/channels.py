"""The ways by which a message leaves, chosen by the kind of its target."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from runcast_api.notifications import ntfy
from runcast_api.notifications.apprise import Apprise
from runcast_api.notifications.messages import Message
from runcast_api.notifications.webpush import WebPush
from runcast_api.outgoing.sender import Outcome, Sender


@dataclass(eq=False)
class Channels:
    """Sends messages. Private addresses are reached where webhooks may reach them, and for administrators."""

    sender: Sender
    push: WebPush
    base_url: str
    apprise: Apprise = field(default_factory=Apprise)

    async def push_key(self) -> str:
        """By which browsers subscribe."""
        return await self.push.public_key()

    async def send(
        self, user_id: UUID, target: Any, message: Message, *, is_admin: bool
    ) -> Outcome:
        """One attempt, for a person, who takes turns with others."""
        allows_private = self.sender.allows_private or is_admin
        secret = target["secret"]
        is_failing = target["failing_since"] is not None
        if target["kind"] == "apprise":
            return await self.apprise.send(
                user_id,
                secret["url"],
                message,
                allows_private=allows_private,
                is_failing=is_failing,
            )
        if target["kind"] == "webpush":
            url, headers, body = await self.push.request(secret, message)
        else:
            url, headers, body = ntfy.request(secret, message, self.base_url)
        return await self.sender.send(
            url,
            headers,
            body,
            payer=user_id,
            is_failing=is_failing,
            allows_private=allows_private,
        )
