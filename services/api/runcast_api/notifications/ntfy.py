"""ntfy: a message as its server's JSON takes it (https://docs.ntfy.sh/publish/#publish-as-json).

`sequence_id` makes a later message with the same one take the earlier one's place (ntfy 2.16 and later; an
older server shows both).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from runcast_api.notifications.messages import Message

QUIET, ORDINARY, HIGH = 1, 3, 4
_TAGS: Mapping[bool, str] = {True: "raising_hand", False: "robot"}


def request(
    secret: Mapping[str, Any], message: Message, base_url: str
) -> tuple[str, dict[str, str], bytes]:
    """Address, headers and body of the POST."""
    headers = {"content-type": "application/json", "user-agent": "Runcast"}
    if secret["token"]:
        headers["authorization"] = f"Bearer {secret['token']}"
    body: dict[str, Any] = {
        "topic": secret["topic"],
        "title": message.title,
        "message": message.text,
        "priority": QUIET if message.is_quiet else HIGH if message.is_urgent else ORDINARY,
        "tags": ["white_check_mark" if message.is_quiet else _TAGS[message.is_urgent]],
        "click": message.url,
        "sequence_id": message.tag,
    }
    if message.buttons:
        body["actions"] = [
            {
                "action": "http",
                "label": button.label,
                "url": f"{base_url}/a/{button.token}",
                "method": "POST",
                "clear": True,
            }
            for button in message.buttons
        ] + [{"action": "view", "label": "Open", "url": message.url}]
    return f"{secret['base']}/", headers, orjson.dumps(body)
