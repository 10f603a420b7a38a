"""What notifications count."""

from prometheus_client import Counter

ATTEMPTS = Counter(
    "runcast_notification_attempts_total",
    "Attempts to send a message to a person.",
    ["kind", "state"],
)
"""`kind` is the target's."""
