"""What the tailer counts."""

from prometheus_client import Counter, Gauge

FOLLOWED = Gauge(
    "runcast_tailer_followed_files", "Files that are followed.", multiprocess_mode="livesum"
)
OPEN = Gauge(
    "runcast_tailer_open_files",
    "Followed files that are open at present.",
    multiprocess_mode="livesum",
)
UNACKNOWLEDGED = Gauge(
    "runcast_tailer_unacknowledged_bytes",
    "Bytes that were sent and aren't committed yet.",
    multiprocess_mode="livesum",
)
LINES = Counter("runcast_tailer_lines_total", "Lines that were sent, those sent again included.")
REWINDS = Counter(
    "runcast_tailer_rewinds_total", "Times a source was sent again from its committed cursor."
)
