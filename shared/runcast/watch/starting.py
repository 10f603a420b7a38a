"""Putting a watcher together from what was asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runcast._support.encoding import as_text
from runcast._support.server_config import Connection
from runcast._upload.feeder import Feeder
from runcast.agents import records
from runcast.agents.redaction import Redaction
from runcast.client.clients import Client
from runcast.watch.adapters import ADAPTERS
from runcast.watch.content import Content, Policy
from runcast.watch.delivery import Delivery
from runcast.watch.fleet import Options, host_name, roots_of
from runcast.watch.following import Following
from runcast.watch.memory import OnlyOne
from runcast.watch.sessions import Adapter, Session
from runcast.watch.watcher import Watcher

__all__ = ["Asked", "OnlyOne", "check", "delivery", "found", "roots", "watcher"]

logger = logging.getLogger("runcast")

Json = dict[str, Any]
Roots = list[tuple[Adapter, Path]]
FOREVER_SECONDS = 100 * 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked for. `since_seconds` None: sessions of any age; `idle_close_seconds` None: a
    silent session is never over."""

    runs_dir: Path
    project: str = "default"
    agents: list[str] = field(default_factory=list)
    paths: dict[str, list[Path]] = field(default_factory=dict)
    since_seconds: float | None = 86_400.0
    idle_close_seconds: float | None = 12 * 3600.0
    content: Content = "text"
    redact: str = ""


def roots(asked: Asked) -> Roots:
    """The directories to look into."""
    names = asked.agents or list(ADAPTERS)
    return roots_of([ADAPTERS[name]() for name in names], asked.paths, Path.home())


def check(asked: Asked) -> None:
    """Raises `ValueError` for a pattern of secrets that is none."""
    Redaction(asked.redact)


def watcher(
    asked: Asked,
    places: Roots,
    sends: Delivery | None = None,
    told: Callable[[Following], None] = lambda _: None,
) -> Watcher:
    """A watcher of these places. Raises `ValueError` for a pattern of secrets that is none."""
    close = asked.idle_close_seconds
    options = Options(
        asked.runs_dir,
        asked.project,
        host_name(),
        asked.since_seconds,
        FOREVER_SECONDS if close is None else close,
    )
    policy = Policy(asked.content, Redaction(asked.redact))
    return Watcher(places, policy, options, delivery=sends, told=told)


def delivery(server: Connection) -> Delivery:
    """Takes runs to a server."""
    return Delivery(Feeder(lambda: Client(server.url, server.token)))


def found(asked: Asked) -> list[Json]:
    """The sessions that are there, with what their readers don't know."""
    return [
        _described(adapter, session)
        for adapter, root in roots(asked)
        for session in adapter.sessions(root, None)
    ]


def _described(adapter: Adapter, session: Session) -> Json:
    unknown: dict[str, int] = {}
    size = 0
    try:
        size = session.path.stat().st_size
        unknown = unknown_in(adapter, session)
    except OSError as error:
        logger.warning("%s", as_text(error))
    return {
        "agent": session.program,
        "key": session.key,
        "parent": session.parent_key,
        "file": str(session.path),
        "bytes": size,
        "unknown": unknown,
    }


def unknown_in(adapter: Adapter, session: Session) -> dict[str, int]:
    """What is passed over in a session because it isn't known, each with how often. Raises `OSError`."""
    reader = adapter.reader(session, adapter.kept(session))
    unreadable = 0
    for line in adapter.source(session).lines():
        if not line.text or adapter.skips(line.text):
            continue
        try:
            reader.read(records.loads(line.text))
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
            unreadable += 1
    return dict(reader.unknown) | ({"unreadable": unreadable} if unreadable else {})
