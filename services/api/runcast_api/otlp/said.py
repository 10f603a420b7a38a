"""What a record or span comes to, before anything is looked up: of which run, and what it says there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from runcast.agents import texts
from runcast_api.logs.entries import LogEntry
from runcast_api.usage.requests import UsedRequest

Json = dict[str, Any]

PAYLOAD_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Session:
    """The session of an agent that sends telemetry."""

    program: str
    session_id: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """What a service says outside of any run that we know: of one instance, else of one day."""

    name: str
    instance: str
    day: str


@dataclass(frozen=True, slots=True)
class Named:
    """A run that its program names (`runcast.run`)."""

    reference: str


@dataclass(frozen=True, slots=True)
class Decision:
    """A person decided at the terminal about this use of a tool, at this moment."""

    tool: str
    at: str


Target = Session | Service | Named


@dataclass(frozen=True, slots=True)
class Said:
    """One record's meaning. `trace`: it belongs to that trace's run, if there is one. `is_content`: it is
    left out where the run hears the same from another source."""

    id: UUID
    target: Target
    at: str
    trace: UUID | None = None
    entry: LogEntry | None = None
    used: UsedRequest | None = None
    decision: Decision | None = None
    is_content: bool = False


def entry(
    event_type: str | None,
    message: str,
    ts: str | None,
    level: str | None = "info",
    agent: str | None = None,
    payload: Mapping[str, Any] | None = None,
) -> LogEntry:
    """An entry; a large payload keeps what fits."""
    kept = small(payload) if payload else None
    return LogEntry(
        event_type=event_type[:200] if event_type else None,
        message=message,
        ts=ts,
        level=level[:32] if level else None,
        agent_name=agent[:200] if agent else None,
        payload=kept or None,
    )


def small(payload: Mapping[str, Any]) -> Json:
    """The payload, cut where it is larger than `PAYLOAD_BYTES`; then it says so."""
    kept, is_cut = texts.small(dict(payload), limit=PAYLOAD_BYTES)
    found: Json = kept if isinstance(kept, dict) else {"value": kept}
    return found | {"cut": True} if is_cut else found
