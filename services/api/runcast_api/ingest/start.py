"""The ingester of a process, put together."""

from __future__ import annotations

from collections.abc import Mapping

from runcast_api.ingest.applying import Handlers, RunlessHandler
from runcast_api.ingest.batches import Applier
from runcast_api.ingest.handlers import handlers
from runcast_api.ingest.ingester import Ingester
from runcast_server.service import Resources


def build_handlers(
    resources: Resources, runless: Mapping[str, RunlessHandler] | None = None
) -> Handlers:
    """What each type of message does; for the stream and for feeds that come over HTTP."""
    return handlers(line_bytes=resources.settings.tailer.max_line_bytes, runless=runless)


def build(resources: Resources, types: Handlers) -> Ingester:
    """The ingester; its `run` is a task for the process's lifetime."""
    applier = Applier(resources.eventlog, types, resources.settings.api.ingest_secret)
    return Ingester(resources.bus, resources.database.log, applier)
