"""What a client asks for when it opens a stream, checked, and where the stream then begins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl
from uuid import UUID

import orjson
from starlette.types import Scope

from runcast_hub import positions
from runcast_hub.filters import Filter
from runcast_hub.snapshot import Snapshot
from runcast_server import query_names
from runcast_server.auth.principal import Principal
from runcast_server.errors import Invalid
from runcast_server.eventlog import guests

MAX_LOG_TAIL = 10_000
MAX_LOG_TAIL_OF_LINKS = 1_000
"""What one request by a share link may have sent ahead, of each run."""
MAX_PROJECTS = 50
"""Projects of one combined stream."""
ALL = "all"

_COMMON = frozenset(
    {
        "last_event_id",
        "subscribe_logs",
        "log_tail",
        "on_lag",
        "epoch",
        "ticket",
        query_names.SHARE,
    }
)
_PARAMETERS = _COMMON | {"project"}
_OF_COMBINED = _COMMON | {"projects"}
_LISTS = ("subscribe_logs", "projects")
"""Parameters of which several are one list."""

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
class CombinedQuery:
    """The parameters of a combined stream. Positions and epochs are by the names that the client gave."""

    projects: tuple[str, ...] | None
    """None: all that the caller may read."""
    positions: Mapping[str, int]
    epochs: Mapping[str, int]
    common: Query


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
        """The active runs that this caller may see, as JSON: the holder of a run's share link sees that
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


def parameters_of(scope: Scope) -> dict[str, str]:
    """The query's parameters, of one that takes several the whole list. Raises `Invalid` for one that takes a
    single value and is given two."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    query_names.refuse_repeated(pairs, _LISTS)
    named = dict(pairs)
    for each in _LISTS:
        if several := [value for name, value in pairs if name == each]:
            named[each] = ",".join(several)
    return named


def parse_query(parameters: Mapping[str, str], last_event_id: str | None) -> Query:
    """The query of a stream; the header wins over `last_event_id`. Raises `Invalid` with the field, also for
    a parameter that streams don't have."""
    query_names.refuse_unknown(parameters, _PARAMETERS)
    given, field = _position(parameters, last_event_id)
    return replace(
        _common(parameters),
        position=_number(given, field) if given else None,
        epoch=parameters.get("epoch") or None,
        project=parameters.get("project"),
    )


def parse_combined(parameters: Mapping[str, str], last_event_id: str | None) -> CombinedQuery:
    """The query of a combined stream, like `parse_query`."""
    query_names.refuse_unknown(parameters, _OF_COMBINED)
    given, field = _position(parameters, last_event_id)
    return CombinedQuery(
        _projects(parameters.get("projects", "")),
        positions.parse(given, field) if given else {},
        positions.parse(parameters["epoch"], "epoch") if parameters.get("epoch") else {},
        _common(parameters),
    )


def _projects(text: str) -> tuple[str, ...] | None:
    named = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if named == (ALL,):
        return None
    if not named:
        raise Invalid.of("projects", "ids or slugs of projects, comma-separated, or all")
    if len(named) > MAX_PROJECTS:
        raise Invalid.of("projects", f"at most {MAX_PROJECTS} projects; got {len(named)}")
    return named


def _position(parameters: Mapping[str, str], last_event_id: str | None) -> tuple[str, str]:
    """The position that is given, and where."""
    if last_event_id:
        return last_event_id, "Last-Event-ID"
    return parameters.get("last_event_id", ""), "last_event_id"


def _common(parameters: Mapping[str, str]) -> Query:
    log_tail = _number(parameters.get("log_tail") or "0", "log_tail")
    if log_tail > MAX_LOG_TAIL:
        raise Invalid.of("log_tail", f"at most {MAX_LOG_TAIL}")
    on_lag = parameters.get("on_lag") or None
    if on_lag not in (None, "skip", "replay"):
        raise Invalid.of("on_lag", "skip or replay")
    return Query(
        subscribe_logs=parameters.get("subscribe_logs"),
        log_tail=log_tail,
        skips_lag=on_lag == "skip",
    )


def _number(text: str, field: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        raise Invalid.of(field, f"must be a number from 0, not {text[:40]!r}")
    return int(text) if len(text) <= 18 else positions.FARTHEST
