"""What the parts that every service shares count. Prometheus collects by name from one registry.

Where several workers share a port their counts are added up: a gauge says how (`multiprocess_mode`), and a
label is never a name that grows without a bound.
"""

from prometheus_client import Counter, Gauge, Histogram

FAST = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5)
"""Buckets in seconds, for what normally takes milliseconds."""

BUILD = Gauge(
    "runcast_build_info",
    "1 for each version of Runcast and Python that runs.",
    ["version", "python"],
    multiprocess_mode="livemax",
)
STARTS = Counter("runcast_process_starts_total", "Starts of this process, or of its workers.")
PROCESSES = Gauge(
    "runcast_processes", "Processes that these metrics are of.", multiprocess_mode="livesum"
)
RESIDENT_BYTES = Gauge(
    "runcast_resident_bytes", "Memory of these processes.", multiprocess_mode="livesum"
)
CPU_SECONDS = Counter("runcast_cpu_seconds_total", "Processor time of these processes.")

REQUESTS = Counter(
    "runcast_http_requests_total",
    "Answered requests, by the route's template; streams are counted by the hub.",
    ["method", "route", "status"],
)
REQUEST_SECONDS = Histogram(
    "runcast_http_request_seconds",
    "Time from a request's head to the end of its answer.",
    ["method", "route"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30),
)

LOOP_LAG = Histogram(
    "runcast_event_loop_lag_seconds",
    "How much later than asked for the event loop woke a task that looks each half second.",
    buckets=FAST,
)
LOOP_FAILURES = Counter(
    "runcast_loop_failures_total", "Steps of background loops that failed.", ["loop"]
)
FAILING = Gauge(
    "runcast_failing",
    "1 for each part that /ready names as failing.",
    ["part"],
    multiprocess_mode="livemax",
)
DEGRADED = Gauge(
    "runcast_degraded",
    "1 for each part that /ready names as degraded.",
    ["part"],
    multiprocess_mode="livemax",
)
POOL_CONNECTIONS = Gauge(
    "runcast_pool_connections",
    "Connections to Postgres, by pool.",
    ["pool", "state"],
    multiprocess_mode="livesum",
)
POOL_TIMEOUTS = Counter(
    "runcast_pool_timeouts_total", "Times no connection to Postgres became free in time."
)

COMMITS = Counter("runcast_commits_total", "Transactions of the event log.")
COMMITTED_EVENTS = Counter("runcast_committed_events_total", "Events committed to Postgres.")
COMMIT_SECONDS = Histogram(
    "runcast_commit_seconds",
    "Time of an event log transaction, from its begin to the commit's answer.",
    buckets=FAST,
)
PUBLISHED = Counter("runcast_published_events_total", "Events published to Redis.")
PUBLISH_SECONDS = Histogram(
    "runcast_publish_seconds", "Time from a commit to its events' being in Redis.", buckets=FAST
)
LATE_PUBLISHES = Counter(
    "runcast_late_publishes_total",
    "Publishes that met a head behind, unknown or of another epoch.",
    ["verdict"],
)
FAILED_PUBLISHES = Counter(
    "runcast_failed_publishes_total", "Blocks left to the sweeper because Redis didn't take them."
)
JUMPS = Counter("runcast_jumps_total", "Times a project's stream was reset to Postgres's head.")
