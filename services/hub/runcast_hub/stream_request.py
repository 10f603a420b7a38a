"""What a client asks for when it opens a stream, checked, and where the stream then begins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import orjson

from runcast_hub.filters import Filter
from runcast_hub.snapshot import Snapshot
from runcast_server import query_names
from runcast_server.auth.principal import Principal
from runcast_server.errors import Invalid
from runcast_server.eventlog import guests

MAX_LOG_TAIL = 10_000
MAX_LOG_TAIL_OF_LINKS = 1_000
"""What one request by a share link may have sent ahead, of each run."""
FARTHEST = 10**18

_PARAMETERS = frozenset(
    {
        "last_event_id",
        "subscribe_logs",
        "log_tail",
        "on_lag",
        "epoch",
        "project",
        "ticket",
        query_names.SHARE,
    }
)

_NUMBER = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters of a stream. `position` is the number to resume after."""

    position: int | None = None
    subscribe_logs: str | None = None
    log_tail: int = 0
    skips_lag: bool = False
    epoch: str | None = None
    project: str | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Where a stream begins: after `cursor`, and what must be said about what it leaves out."""

    cursor: int
    resumed_from: int | None = None
    gap_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """An authorized request for a stream of one project, perhaps of one run in it."""

    principal: Principal
    project_id: UUID
    filter: Filter
    query: Query
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """What the answer carries besides the stream's own headers."""

    def start(self, snapshot: Snapshot) -> Start:
        """Resumes after the client's position, where this history has it; else live from the head."""
        position = self.query.position
        if position is None:
            return Start(snapshot.head)
        if self.query.epoch is not None and self.query.epoch != str(snapshot.epoch):
            return Start(snapshot.head, gap_reason="reset")
        if position > snapshot.head:
            return Start(snapshot.head, gap_reason="ahead_of_head")
        return Start(position, resumed_from=position)

    def visible_runs(self, snapshot: Snapshot) -> bytes:
        """The active runs that this caller may see, as JSON: whoever holds a run's share link sees that
        run."""
        only = self.principal.run_id
        if only is None:
            encoded = snapshot.encoded_runs
        else:
            encoded = orjson.dumps([run for run in snapshot.active_runs if run["id"] == str(only)])
        return encoded if self.principal.share_id is None else guests.reduced(encoded)

    def tailed_runs(self, snapshot: Snapshot) -> list[UUID]:
        """The runs of which `log_tail` shows the last lines; of `all` those that are active."""
        if self.query.log_tail == 0 or self.query.position is not None:
            return []
        if self.filter.all_logs:
            return [UUID(run["id"]) for run in snapshot.active_runs]
        return self.filter.run_ids


def parse_query(parameters: Mapping[str, str], last_event_id: str | None) -> Query:
    """The query of a stream; the header wins over `last_event_id`. Raises `Invalid` with the field, also for
    a parameter that streams don't have."""
    query_names.refuse_unknown(parameters, _PARAMETERS)
    if last_event_id:
        position = _number(last_event_id, "Last-Event-ID")
    elif parameters.get("last_event_id"):
        position = _number(parameters["last_event_id"], "last_event_id")
    else:
        position = None
    log_tail = _number(parameters.get("log_tail") or "0", "log_tail")
    if log_tail > MAX_LOG_TAIL:
        raise Invalid.of("log_tail", f"at most {MAX_LOG_TAIL}")
    on_lag = parameters.get("on_lag") or None
    if on_lag not in (None, "skip", "replay"):
        raise Invalid.of("on_lag", "skip or replay")
    return Query(
        position=position,
        subscribe_logs=parameters.get("subscribe_logs"),
        log_tail=log_tail,
        skips_lag=on_lag == "skip",
        epoch=parameters.get("epoch") or None,
        project=parameters.get("project"),
    )


def _number(text: str, field: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        raise Invalid.of(field, f"must be a number from 0, not {text[:40]!r}")
    return int(text) if len(text) <= 18 else FARTHEST
