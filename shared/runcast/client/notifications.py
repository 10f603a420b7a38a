"""What you are told where you are (`docs/notifications.md`): settings of the person who calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runcast.client.calls import Call

if TYPE_CHECKING:
    from runcast.client import answers


def get_notifications() -> Call[answers.Notifications]:
    """Rules and targets; addresses that are secrets aren't shown."""
    return Call("GET", "/auth/me/notifications")


def set_notifications(
    rules: Sequence[Mapping[str, Any]],
    targets: Sequence[Mapping[str, Any]],
    *,
    details: bool = False,
) -> Call[answers.Notifications]:
    """Puts these in the place of those before. A target without its address keeps the one that it has.
    `details`: messages hold what is asked, too."""
    body = {"rules": list(rules), "targets": list(targets), "details": details}
    return Call("PUT", "/auth/me/notifications", json=body)


def test_notification(target: str) -> Call[answers.NotificationTested]:
    """Sends a test message to a target now, and says what came of it."""
    return Call("POST", "/auth/me/notifications/test", json={"target": target})


def set_presence(page: str) -> Call[None]:
    """`page` (`inbox`, or a run's id) is before the caller's eyes: for 30 s its matters aren't told
    besides."""
    return Call("PUT", "/auth/me/presence", json={"page": page})
