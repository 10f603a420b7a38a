"""What a hub counts."""

from prometheus_client import Counter, Gauge, Histogram

from runcast_server.metrics import FAST

CONNECTIONS = Gauge("runcast_hub_connections", "Open streams.", multiprocess_mode="livesum")
ROOMS = Gauge(
    "runcast_hub_rooms",
    "Projects with streams, or that had some a moment ago.",
    multiprocess_mode="livesum",
)
DELIVERED_BYTES = Counter("runcast_hub_delivered_bytes_total", "Bytes handed to sockets.")
DELIVERIES = Counter("runcast_hub_deliveries_total", "Chunks handed to sockets.")
OPENED = Counter("runcast_hub_opened_total", "Streams that were opened.")
ECHO_SECONDS = Histogram(
    "runcast_hub_echo_seconds",
    "Time of a hub's probe through Redis and back: what publishing adds before a hub knows.",
    buckets=FAST,
)
DELIVERY_SECONDS = Histogram(
    "runcast_hub_delivery_seconds",
    "Time from a hub's knowing of new events to their being handed to all live streams.",
    buckets=FAST,
)
LAGGING = Gauge(
    "runcast_hub_lagging_connections",
    "Streams that read on from their own cursor.",
    multiprocess_mode="livesum",
)
SLOW = Counter("runcast_hub_slow_total", "Times a live stream's socket was full.")
HOLES = Counter("runcast_hub_holes_filled_total", "Holes in the live messages, filled.", ["source"])
GAPS = Counter("runcast_hub_gaps_total", "Gaps announced to clients.", ["reason"])
RECONNECTS = Counter("runcast_hub_redis_reconnects_total", "Times the Redis link was made again.")
REFUSED = Counter("runcast_hub_refused_total", "Streams refused for the connection limit.")
RING_BYTES = Gauge(
    "runcast_hub_ring_bytes", "Bytes of recent frames held in memory.", multiprocess_mode="livesum"
)
EVENTS_BEHIND = Gauge(
    "runcast_hub_events_behind",
    "Events by which rooms were behind Postgres.",
    multiprocess_mode="livemax",
)
