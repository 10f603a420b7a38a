"""Storing telemetry: each record and span once, with the runs, usage and entries that it comes to.

A request is stored in parts; each is one transaction, so that what is sent again after a failure adds what is
missing, and nothing twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from runcast._support import times
from runcast.agents import texts
from runcast_api.logs import entries
from runcast_api.logs.entries import Append, Encoded, LogEntry
from runcast_api.otlp import places, records, silence
from runcast_api.otlp.said import Decision, Said, Session, Target
from runcast_api.otlp.wire import Refused
from runcast_api.questions import questions
from runcast_api.runs import runs
from runcast_api.usage import requests
from runcast_api.usage.requests import UsedRequest, UsedRequests
from runcast_server.errors import Conflict, NotFound
from runcast_server.eventlog.log import EventLog, Transaction

Json = dict[str, Any]
T = TypeVar("T")

SOURCE = "otlp"
NOTE_BYTES = 64
PART = 500
"""Records that are stored together."""
ATTEMPTS = 3

_TRACES = """
SELECT trace_id, run_id FROM otlp_traces WHERE project_id = $1 AND trace_id = ANY($2::uuid[])
"""
_IS_FED = "SELECT EXISTS (SELECT FROM log_sources WHERE run_id = $1 AND source = 'spool.jsonl')"
_OPEN = """
SELECT id, context FROM questions
WHERE run_id = $1 AND state = 'open' AND asked_at <= $2 ORDER BY asked_at
"""


@dataclass(slots=True)
class Part:
    """What records say of one run."""

    of_session: bool = False
    entries: list[tuple[Encoded, bool]] = field(default_factory=list)
    """Each with whether it is left out where the run hears the same from elsewhere."""
    used: list[UsedRequest] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    def add(self, said: Said, encoded: Encoded | None) -> None:
        self.of_session = self.of_session or isinstance(said.target, Session)
        if encoded is not None:
            self.entries.append((encoded, said.is_content))
        if said.used is not None:
            self.used.append(said.used)
        if said.decision is not None:
            self.decisions.append(said.decision)


@dataclass(frozen=True, slots=True)
class Encoder:
    """Entries as records of the log, cut to what a line may hold."""

    limit: int
    now: str = field(default_factory=lambda: times.to_milliseconds(times.now()))

    def encode(self, entry: LogEntry) -> Encoded:
        if entry.message and len(entry.message) > self.limit // 4:
            entry = entry.model_copy(update={"message": _fitting(entry.message, self.limit)})
        return entries.encode(entry, self.now, self.limit, source=SOURCE)


def _fitting(text: str, limit: int) -> str:
    """Head and tail of a text, with the note on what was left out, in this many bytes."""
    if limit < 4 * NOTE_BYTES:
        return text.encode("utf-8", "replace")[:limit].decode(errors="ignore")
    return texts.shortened(text, limit - NOTE_BYTES)[0]


def parts(given: Iterable[T], size: int) -> Iterator[list[T]]:
    """At most `size` of them at a time."""
    rest = iter(given)
    while part := list(islice(rest, size)):
        yield part


async def take_records(
    eventlog: EventLog, project_id: UUID, given: Iterable[Said], limit: int
) -> Refused:
    """Stores what records say. Answers those whose run isn't there."""
    refused = Refused()
    encoder = Encoder(limit)
    for part in parts(_told_apart(given), PART):
        encoded = [encoder.encode(one.entry) if one.entry else None for one in part]
        change = _change(project_id, part, encoded)
        for why, count in (await commit(eventlog, project_id, change)).items():
            refused.add(why, count)
    return refused


def _told_apart(given: Iterable[Said]) -> Iterator[Said]:
    """Each with an id of its own: what a request says twice was said twice."""
    seen: dict[UUID, int] = {}
    for one in given:
        times_before = seen.get(one.id, 0)
        seen[one.id] = times_before + 1
        if times_before:
            yield replace(one, id=UUID(int=(one.id.int + times_before) % 2**128))
        else:
            yield one


async def commit(
    eventlog: EventLog, project_id: UUID, change: Callable[[Transaction], Awaitable[T]]
) -> T:
    """Commits, once more where another process made the same run meanwhile."""
    for _ in range(ATTEMPTS - 1):
        try:
            return await eventlog.commit(project_id, change)
        except Conflict:
            continue
    return await eventlog.commit(project_id, change)


def _change(
    project_id: UUID, said: Sequence[Said], encoded: Sequence[Encoded | None]
) -> Callable[[Transaction], Awaitable[dict[str, int]]]:
    async def change(transaction: Transaction) -> dict[str, int]:
        connection = transaction.connection
        fresh = await records.claim(connection, project_id, (one.id for one in said))
        rows = await connection.fetch(
            _TRACES, project_id, list({one.trace for one in said if one.trace})
        )
        traces = {row["trace_id"]: row["run_id"] for row in rows}
        of_targets: dict[Target | UUID, Part] = {}
        at: dict[Target | UUID, str] = {}
        for one, its in zip(said, encoded, strict=True):
            if one.id in fresh:
                place = traces.get(one.trace) or one.target
                of_targets.setdefault(place, Part()).add(one, its)
                at[place] = max(at.get(place, ""), one.at)
        return await _store(transaction, project_id, of_targets, at)

    return change


async def _store(
    transaction: Transaction,
    project_id: UUID,
    of_targets: dict[Target | UUID, Part],
    at: dict[Target | UUID, str],
) -> dict[str, int]:
    """Stores each run's part; answers why how many records weren't taken."""
    refused: dict[str, int] = {}
    appends: list[Append] = []
    for place in sorted(of_targets, key=str):
        part = of_targets[place]
        try:
            run_id = (
                place
                if isinstance(place, UUID)
                else await _run_of(transaction, project_id, place, at[place])
            )
        except NotFound as problem:
            refused[problem.detail] = len(part.entries) + len(part.used) + len(part.decisions)
            continue
        encoded = await _apply(transaction, run_id, part)
        if encoded:
            appends.append(Append(project_id, run_id, encoded))
        await silence.hear(transaction.connection, run_id, silence.SESSION)
    if appends:
        await entries.append_all(transaction, appends)
    return refused


async def _run_of(transaction: Transaction, project_id: UUID, target: Target, at: str) -> UUID:
    return UUID((await places.of(transaction, project_id, target, at))["id"])


async def _apply(transaction: Transaction, run_id: UUID, part: Part) -> list[Encoded]:
    """Adds usage and closes questions; answers the entries that the run doesn't hear from elsewhere."""
    if not part.of_session:
        await use(transaction, run_id, part.used)
        return [encoded for encoded, _ in part.entries]
    run = await runs.lock(transaction, run_id)
    # A watcher reads the agent's own record, which says the same and more.
    is_fed = await transaction.connection.fetchval(_IS_FED, run_id)
    if not is_fed:
        await use(transaction, run_id, part.used)
    for decision in part.decisions:
        await _decide(transaction, run_id, decision)
    hears = is_fed or places.told_of(run, "agent").get("via") != places.VIA
    return [encoded for encoded, is_content in part.entries if not (is_content and hears)]


async def use(transaction: Transaction, run_id: UUID, used: Sequence[UsedRequest]) -> None:
    """Adds requests to the run's usage, each once."""
    for some in parts(used, 1000):
        await requests.add(transaction, run_id, UsedRequests(requests=some))


async def _decide(transaction: Transaction, run_id: UUID, decision: Decision) -> None:
    """Closes the question about this use of a tool: the only one that was open then. Of several no one knows
    which was meant."""
    rows = await transaction.connection.fetch(_OPEN, run_id, times.parse(decision.at))
    ids = [row["id"] for row in rows if (row["context"] or {}).get("tool_name") == decision.tool]
    if len(ids) == 1:
        run = await runs.lock(transaction, run_id)
        await questions.close_open(transaction, run, ids, "resolved_elsewhere")
