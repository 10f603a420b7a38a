"""What `/metrics` answers: this process's counts, or those of all workers added up."""

import os

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST
METRICS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""Where workers keep what they count, each in files of its own, for whichever answers `/metrics`."""


def text() -> bytes:
    """All metrics in Prometheus's text format."""
    directory = os.environ.get(METRICS_DIRECTORY)
    if directory is None:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, directory)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
