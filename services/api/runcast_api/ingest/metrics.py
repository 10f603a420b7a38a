"""What the ingester counts."""

from prometheus_client import Counter, Gauge, Histogram

LEADING = Gauge(
    "runcast_ingest_leading",
    "1 while this process applies this ingest stream.",
    ["stream"],
    multiprocess_mode="livesum",
)
LAG_SECONDS = Gauge(
    "runcast_ingest_lag_seconds",
    "Age of the oldest message of the last batch when it was committed; 0 when nothing waits.",
    ["stream"],
    multiprocess_mode="livemax",
)
DELAY_SECONDS = Histogram(
    "runcast_ingest_delay_seconds",
    "Time from a message's being in Redis to its commit, of the oldest of each batch.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30, 300),
)
MESSAGES = Counter("runcast_ingest_messages_total", "Messages of the ingest stream that are done.")
REJECTS = Counter("runcast_ingest_rejects_total", "Messages that were kept as rejects.")
FENCED = Counter(
    "runcast_ingest_fenced_total", "Times this process found that another one leads the ingest."
)
STREAM_EPOCHS = Counter(
    "runcast_ingest_stream_epochs_total",
    "Times the ingest stream was another one than before: emptied, made again or failed over.",
)
