"""What webhooks count."""

from prometheus_client import Counter

ATTEMPTS = Counter(
    "runcast_webhook_attempts_total", "Attempts to deliver an event to a webhook.", ["state"]
)
