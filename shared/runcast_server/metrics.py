"""What the parts that every service shares count. Prometheus collects by name from one registry."""

from prometheus_client import Counter, Histogram

PUBLISHED = Counter("runcast_published_events_total", "Events published to Redis.")
LATE_PUBLISHES = Counter(
    "runcast_late_publishes_total",
    "Publishes that met a head behind, unknown or of another epoch.",
    ["verdict"],
)
FAILED_PUBLISHES = Counter(
    "runcast_failed_publishes_total", "Blocks left to the sweeper because Redis didn't take them."
)
JUMPS = Counter("runcast_jumps_total", "Times a project's stream was reset to Postgres's head.")
COMMITS = Counter("runcast_commits_total", "Transactions of the event log.")
COMMITTED_EVENTS = Counter("runcast_committed_events_total", "Events committed to Postgres.")
COMMIT_SECONDS = Histogram(
    "runcast_commit_seconds",
    "Time of an event log transaction, from its begin to the commit's answer.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
)
