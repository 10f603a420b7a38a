"""Storing traces: runs, their children, what their spans say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

from runcast.agents.identity import child_key, session_key
from runcast.contract import TERMINAL_STATUSES
from runcast_api.logs import entries
from runcast_api.logs.entries import Append
from runcast_api.otlp import places, records, silence
from runcast_api.otlp.spans import Agent, Told, Trace
from runcast_api.otlp.taking import PART, Encoder, commit, use
from runcast_api.otlp.wire import Refused
from runcast_api.runs import names, runs
from runcast_api.runs.annotations import MAX_ALIASES
from runcast_api.runs.schemas import RunNew
from runcast_server.errors import NotFound
from runcast_server.eventlog.log import EventLog, Transaction

Json = dict[str, Any]
Change = Callable[[Transaction], Awaitable[str | None]]

BORROWED = "borrowed_name"
"""In `metadata.otel` of a trace's run: the name that it has from an agent, until its root comes."""

_KNOWN = """
SELECT run_id, span_id FROM otlp_traces WHERE project_id = $1 AND trace_id = $2 FOR UPDATE
"""
_REMEMBER = """
INSERT INTO otlp_traces (project_id, trace_id, run_id, span_id) VALUES ($1, $2, $3, $4)
ON CONFLICT (project_id, trace_id) DO UPDATE
    SET span_id = coalesce(otlp_traces.span_id, excluded.span_id), heard_at = now()
"""


async def take_traces(
    eventlog: EventLog, project_id: UUID, given: Iterable[Trace], limit: int
) -> Refused:
    """Stores what spans say, each trace in transactions of its own. Answers those that weren't taken."""
    refused = Refused()
    for trace in given:
        for part in _parts(trace):
            change = _Taking(project_id, part, Encoder(limit)).change
            why = await commit(eventlog, project_id, change)
            if why is not None:
                refused.add(why, len(part.ids))
    return refused


def _parts(trace: Trace) -> Iterator[Trace]:
    """The trace in parts of `PART` spans; the agents are known in each, so that spans find theirs."""
    if len(trace.told) <= PART:
        yield trace
        return
    for start in range(0, len(trace.told), PART):
        told = trace.told[start : start + PART]
        yield Trace(
            trace.trace_id, trace.service, trace.conversation, trace.named, trace.agents, told
        )


class _Taking:
    """One part of a trace, in the transaction that stores it."""

    def __init__(self, project_id: UUID, trace: Trace, encoder: Encoder) -> None:
        self._project_id = project_id
        self._trace = trace
        self._encoder = encoder

    async def change(self, transaction: Transaction) -> str | None:
        """Stores it; answers why nothing could be taken."""
        trace, connection = self._trace, transaction.connection
        fresh = await records.claim(connection, self._project_id, trace.ids)
        agents = [agent for agent in trace.agents if agent.id in fresh]
        told = [one for one in trace.told if one.id in fresh]
        if not agents and not told:
            return None
        try:
            run, own = await self._run(transaction)
        except NotFound as problem:
            return problem.detail
        places_of = await self._children(transaction, run, own)
        await self._tell(transaction, UUID(run["id"]), places_of, told)
        ended = [agent for agent in agents if agent.span_id == own]
        if ended and not trace.named:
            await self._end(transaction, UUID(run["id"]), ended[0])
        else:
            await silence.hear(connection, UUID(run["id"]), silence.TRACE)
        return None

    async def _run(self, transaction: Transaction) -> tuple[Json, str | None]:
        """The trace's run, locked, and the span that is the run itself."""
        trace, connection = self._trace, transaction.connection
        # What lies in an agent ends before it, perhaps long before: only the root is the trace's run.
        root = next((agent for agent in trace.agents if agent.is_root), None)
        own = root.span_id if root else None
        if trace.named:
            run = await places.named(transaction, self._project_id, trace.named)
            await self._remember(transaction, run, own)
            return run, own
        known = await connection.fetchrow(_KNOWN, self._project_id, trace.trace_id)
        if known is not None:
            run = await runs.lock(transaction, known["run_id"])
            run = await self._name(transaction, run, root)
        else:
            run = await self._find_or_make(transaction, root)
        await self._remember(transaction, run, own)
        return run, own or (known and known["span_id"])

    async def _remember(self, transaction: Transaction, run: Json, span_id: str | None) -> None:
        await transaction.connection.execute(
            _REMEMBER, self._project_id, self._trace.trace_id, UUID(run["id"]), span_id
        )

    async def _find_or_make(self, transaction: Transaction, root: Agent | None) -> Json:
        trace = self._trace
        key = session_key(trace.service, trace.conversation or trace.trace_id.hex)
        run, free = await places.next_free(transaction, self._project_id, key, None)
        if run is not None:
            return run
        about = self._about()
        name = root.name if root else None
        if root is None and trace.agents:
            # Until its root comes, a trace is called by the outermost agent that came.
            name = about[BORROWED] = trace.agents[0].name
        new = RunNew(
            key=free,
            name=name,
            phase="trace",
            steps=[],
            status="running",
            agent_type="AGENT",
            agent_name=(root and root.agent_name) or trace.service[: places.NAME_CHARACTERS],
            metadata={"otel": about},
        )
        return await places.make(transaction, self._project_id, new, silence.TRACE)

    def _about(self) -> Json:
        trace = self._trace
        about = {"service": trace.service, "trace_id": trace.trace_id.hex}
        return about | ({"conversation_id": trace.conversation} if trace.conversation else {})

    async def _name(self, transaction: Transaction, run: Json, root: Agent | None) -> Json:
        """What is known only now of a run that spans made before: its name, its conversation. What a person
        called it meanwhile stays."""
        borrowed = places.told_of(run, "otel").get(BORROWED)
        if root is not None and run["name"] in (None, borrowed):
            run = await runs.change(transaction, run, {"name": root.name})
        if not self._trace.conversation:
            return run
        alias = session_key(self._trace.service, self._trace.conversation)
        holder = await names.find(transaction.connection, self._project_id, alias)
        if holder is None and len(run["aliases"]) < MAX_ALIASES:
            aliases = [*run["aliases"], alias]
            await names.store(transaction.connection, self._project_id, UUID(run["id"]), aliases)
            run = await runs.change(transaction, run, {"aliases": aliases})
        return run

    async def _children(
        self, transaction: Transaction, run: Json, own: str | None
    ) -> dict[str, UUID]:
        """The runs of the trace's agents by their spans; what isn't there yet is made, and has ended."""
        found = {"": UUID(run["id"])}
        agents = self._trace.agents
        keys = {
            agent.span_id: child_key(run["key"] or run["id"], agent.span_id) for agent in agents
        }
        known = await names.find_all(transaction.connection, self._project_id, [*keys.values()])
        for agent in agents:
            if agent.span_id == own:
                found[agent.span_id] = UUID(run["id"])
                continue
            key = keys[agent.span_id]
            child = known.get(key)
            if child is None:
                parent = found.get(agent.parent, UUID(run["id"]))
                child = await self._make_child(transaction, agent, key, parent)
            found[agent.span_id] = child
        return found

    async def _make_child(
        self, transaction: Transaction, agent: Agent, key: str, parent: UUID
    ) -> UUID:
        new = RunNew(
            key=key,
            name=agent.name,
            phase="trace",
            steps=[],
            status="running",
            agent_type="SUBAGENT",
            agent_name=agent.agent_name,
            parent_run_id=parent,
            metadata={"otel": self._about() | {"span_id": agent.span_id}},
        )
        child = await places.make(transaction, self._project_id, new, None)
        await runs.change(transaction, child, _ending(agent))
        return UUID(child["id"])

    async def _tell(
        self,
        transaction: Transaction,
        run_id: UUID,
        places_of: dict[str, UUID],
        told: list[Told],
    ) -> None:
        of_runs: dict[UUID, list[Told]] = {}
        for one in told:
            of_runs.setdefault(places_of.get(one.agent, run_id), []).append(one)
        appends = []
        for place in sorted(of_runs):
            its = of_runs[place]
            await use(transaction, place, [one.used for one in its if one.used])
            said = [entry for one in its for entry in one.entries]
            said.sort(key=lambda entry: entry.ts or "")
            if said:
                encoded = [self._encoder.encode(entry) for entry in said]
                appends.append(Append(self._project_id, place, encoded))
        if appends:
            await entries.append_all(transaction, appends)

    async def _end(self, transaction: Transaction, run_id: UUID, agent: Agent) -> None:
        run = await runs.lock(transaction, run_id)
        if run["status"] not in TERMINAL_STATUSES:
            await runs.change(transaction, run, _ending(agent))
        await silence.forget(transaction.connection, run_id)


def _ending(agent: Agent) -> Json:
    if agent.error is None:
        return {"status": "completed"}
    return {"status": "failed", "error": agent.error}
