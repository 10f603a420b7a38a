"""Runcast, the public package: SDK, CLI and the contract they share.

from runcast import RunTracker, Client

with RunTracker(project="demo", run_id="my-run") as run:
    run.emit("spec", "Generating spec", percent=10)
"""

from runcast.client.clients import AsyncClient, Client
from runcast.errors import ApiError, RuncastError
from runcast.events import Event
from runcast.tracker import AsyncRunTracker, RunTracker

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncRunTracker",
    "Client",
    "Event",
    "RunTracker",
    "RuncastError",
]
