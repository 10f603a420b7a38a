"""What runtime observability counts about itself."""

from prometheus_client import Counter

STORED = Counter("runcast_runtime_events_total", "Runtime events that were stored.")
FAILED_WRITES = Counter(
    "runcast_runtime_write_failures_total", "Writes of runtime events that Postgres didn't take."
)
DROPPED = Counter(
    "runcast_runtime_events_dropped_total",
    "Runtime events that were given up. They are best effort.",
)
EXPIRED_LEASES = Counter(
    "runcast_expired_leases_total", "Subtasks taken from workers not heard of."
)
