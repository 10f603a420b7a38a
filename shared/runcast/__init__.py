"""Runcast, the public package: SDK, CLI and the contract they share.

from runcast import RunTracker, Client

with RunTracker(project="demo", run_id="my-run") as run:
    run.emit("spec", "Generating spec", percent=10)

The names below are imported when they are first used (PEP 562), so that a command that needs no
HTTP client starts without one. Nothing else is imported: a person who presses Ctrl-C while `runcast` starts
must not see this module's traceback, so it takes no time.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
"""As `typing.TYPE_CHECKING`, without `typing`."""
if TYPE_CHECKING:
    from typing import Any

    from runcast.client.clients import AsyncClient, Client
    from runcast.decorators import run, step
    from runcast.errors import ApiError, RuncastError
    from runcast.events import Event
    from runcast.tracker import AsyncRunTracker, RunTracker, current_run

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncRunTracker",
    "Client",
    "Event",
    "RunTracker",
    "RuncastError",
    "current_run",
    "run",
    "step",
]

_HOMES = {
    "ApiError": "runcast.errors",
    "AsyncClient": "runcast.client.clients",
    "AsyncRunTracker": "runcast.tracker",
    "Client": "runcast.client.clients",
    "Event": "runcast.events",
    "RunTracker": "runcast.tracker",
    "RuncastError": "runcast.errors",
    "current_run": "runcast.tracker",
    "run": "runcast.decorators",
    "step": "runcast.decorators",
}


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
