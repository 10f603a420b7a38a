"""What the ingester counts."""

from prometheus_client import Counter, Gauge

LEADING = Gauge(
    "runcast_ingest_leading", "1 while this process applies this ingest stream.", ["stream"]
)
MESSAGES = Counter("runcast_ingest_messages_total", "Messages of the ingest stream that are done.")
REJECTS = Counter("runcast_ingest_rejects_total", "Messages that were kept as rejects.")
FENCED = Counter(
    "runcast_ingest_fenced_total", "Times this process found that another one leads the ingest."
)
STREAM_EPOCHS = Counter(
    "runcast_ingest_stream_epochs_total",
    "Times the ingest stream was another one than before: emptied, made anew or failed over.",
)
