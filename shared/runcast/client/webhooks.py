"""Webhooks of a project (`docs/webhooks.md`). Its owners alone may see and change them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runcast.client.calls import Call, given, path

if TYPE_CHECKING:
    from runcast.client import answers


def create_webhook(
    project: str,
    url: str,
    types: Sequence[str],
    *,
    secret: str | None = None,
    format: str | None = None,
) -> Call[answers.WebhookMade]:
    """Sends events of these types (`run:*`, `question:asked` …) to a URL from now on. The answer shows the
    secret that signs them, once. `format`: `standard` or `cloudevents`."""
    body = given(url=url, types=list(types), secret=secret, format=format)
    return Call("POST", path("/projects/{}/webhooks", project), json=body)


def list_webhooks(
    project: str, *, limit: int | None = None, cursor: str | None = None
) -> Call[answers.WebhookPage]:
    query = {"limit": limit, "cursor": cursor}
    return Call("GET", path("/projects/{}/webhooks", project), query)


def get_webhook(project: str, webhook: str) -> Call[answers.Webhook]:
    return Call("GET", path("/projects/{}/webhooks/{}", project, webhook))


def update_webhook(project: str, webhook: str, **fields: Any) -> Call[answers.Webhook]:
    """Takes url, types, format, disabled."""
    return Call("PATCH", path("/projects/{}/webhooks/{}", project, webhook), json=fields)


def delete_webhook(project: str, webhook: str) -> Call[None]:
    return Call("DELETE", path("/projects/{}/webhooks/{}", project, webhook))


def rotate_webhook_secret(
    project: str, webhook: str, *, overlap_s: int | None = None
) -> Call[answers.WebhookMade]:
    """Makes a new secret; for `overlap_s` seconds both sign."""
    where = path("/projects/{}/webhooks/{}/rotate", project, webhook)
    return Call("POST", where, json=given(overlap_s=overlap_s))


def test_webhook(project: str, webhook: str) -> Call[answers.WebhookTested]:
    """Sends an event now, and says what the receiver answered."""
    return Call("POST", path("/projects/{}/webhooks/{}/test", project, webhook))


def list_deliveries(
    project: str, webhook: str, *, limit: int | None = None, cursor: str | None = None
) -> Call[answers.DeliveryPage]:
    """What was sent, newest first, with what the receiver answered."""
    query = {"limit": limit, "cursor": cursor}
    return Call("GET", path("/projects/{}/webhooks/{}/deliveries", project, webhook), query)


def redeliver(delivery: str) -> Call[answers.Delivery]:
    """Sends a delivery once more, under its id."""
    return Call("POST", path("/deliveries/{}/redeliver", delivery))
