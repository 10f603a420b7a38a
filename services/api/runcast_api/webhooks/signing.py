"""What is sent, and its signature (Standard Webhooks 1.0).

Source: `spec/standard-webhooks.md` of standard-webhooks/standard-webhooks.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import orjson
from standardwebhooks.webhooks import Webhook

Json = dict[str, Any]
Format = Literal["standard", "cloudevents"]

PREFIX = "whsec_"
SECRET_BYTES = 32
BODY_BYTES = 20_000
"""A body at most; large members of the event are replaced by where they can be read."""
_MEDIA_TYPES: Mapping[str, str] = {
    "standard": "application/json",
    "cloudevents": "application/cloudevents+json",
}


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def secret_fault(secret: str) -> str | None:
    """What is wrong with a secret that someone chose; None where nothing is."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        return "isn't base64 behind whsec_"
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        return "must be whsec_ and the base64 of 24 to 64 bytes"
    return None


def message_id(project_id: UUID, event_id: int, hook_id: UUID) -> str:
    """The same for each attempt to send an event to a hook."""
    return f"{project_id}:{event_id}:{hook_id}"


def body(
    event: Mapping[str, Any], project_id: UUID, id: str, base_url: str, format: Format
) -> bytes:
    """The event (`type`, `at`, `data`) as it is sent, at most `BODY_BYTES` long."""
    run_id = event["data"].get("run_id")
    shown = f"{base_url}/ui/runs/{run_id}" if run_id else f"{base_url}/ui/projects/{project_id}"
    readable = f"{base_url}/projects/{project_id}/events/history?after={event['id'] - 1}&limit=1"
    data = dict(event["data"]) | {"url": shown}
    for name in [None, *sorted(data, key=lambda one: -len(orjson.dumps(data[one])))]:
        if name is not None:
            data[name] = readable
        sent = _enveloped(event, data, project_id, id, base_url, format)
        if len(sent) <= BODY_BYTES:
            break
    return sent


def _enveloped(
    event: Mapping[str, Any], data: Json, project_id: UUID, id: str, base_url: str, format: Format
) -> bytes:
    if format == "standard":
        return orjson.dumps({"type": event["type"], "timestamp": event["at"], "data": data})
    members = {
        "specversion": "1.0",
        "id": id,
        "source": f"{base_url}/projects/{project_id}",
        "type": f"dev.runcast.{event['type'].replace(':', '.')}",
        "time": event["at"],
        "datacontenttype": "application/json",
        "data": data,
    }
    return orjson.dumps(members | ({"subject": data["run_id"]} if data.get("run_id") else {}))


def headers(id: str, sent: bytes, keys: Sequence[str], format: Format) -> dict[str, str]:
    """The headers, with a signature by each secret that is good."""
    # The library takes the moment's digits for those of UTC.
    now = datetime.now(UTC)
    signatures = [Webhook(key).sign(id, now, sent.decode()) for key in keys]
    return {
        "content-type": _MEDIA_TYPES[format],
        "user-agent": "Runcast-Webhooks",
        "webhook-id": id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
