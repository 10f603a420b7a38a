"""Which run what telemetry says belongs to: found by its name, made where there is none."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from runcast._support import times
from runcast.agents.identity import resumed_key, session_key
from runcast.contract import TERMINAL_STATUSES, is_key
from runcast_api.agents import sessions
from runcast_api.otlp import silence
from runcast_api.otlp.said import Named, Service, Session, Target
from runcast_api.runs import names, runs
from runcast_api.runs.schemas import RunNew
from runcast_server.auth import access
from runcast_server.errors import NotFound
from runcast_server.eventlog.log import Transaction

Json = dict[str, Any]

LATE = timedelta(minutes=2)
"""Telemetry comes after what it tells of. What happened so long after a run's end is of its next run."""
VIA = "otlp"
NAME_CHARACTERS = 200


async def of(transaction: Transaction, project_id: UUID, target: Target, at: str) -> Json:
    """The run, locked. Raises `NotFound` for one that its program names and that isn't there."""
    match target:
        case Session():
            return await _of_session(transaction, project_id, target, at)
        case Service():
            return await _of_service(transaction, project_id, target, at)
        case Named():
            return await named(transaction, project_id, target.reference)


async def named(transaction: Transaction, project_id: UUID, reference: str) -> Json:
    """The run with this id, key, alias or number; made for a key that none has. Raises `NotFound`."""
    run_id = access.as_uuid(reference)
    if run_id is None:
        run_id = await access.run_by_name(transaction.connection, project_id, reference)
        if run_id is None and is_key(reference):
            new = RunNew(key=reference, phase="session", steps=[], status="running")
            return await make(transaction, project_id, new, silence.SESSION)
    elif not await transaction.connection.fetchval(
        "SELECT true FROM runs WHERE id = $1 AND project_id = $2", run_id, project_id
    ):
        run_id = None
    if run_id is None:
        raise NotFound(f"no run {reference[:200]!r}")
    return await runs.lock(transaction, run_id)


async def make(
    transaction: Transaction, project_id: UUID, new: RunNew, after: timedelta | None
) -> Json:
    """A new run, locked; one that silence ends unless `after` is None."""
    run, _ = await runs.create(transaction, project_id, new)
    if after is not None:
        await silence.begin(transaction.connection, project_id, UUID(run["id"]), after)
    return await runs.lock(transaction, UUID(run["id"]))


async def next_free(
    transaction: Transaction, project_id: UUID, key: str, at: str | None
) -> tuple[Json | None, str]:
    """The run with this key that goes on at this moment, locked; or the key that its next run gets. Without a
    moment only a run that hasn't ended goes on."""
    name = key
    for number in range(2, names.MAX_RESUMED):
        run_id = await names.find(transaction.connection, project_id, name)
        if run_id is None:
            return None, name
        run = await runs.lock(transaction, run_id)
        if run["status"] not in TERMINAL_STATUSES or (at is not None and not is_over(run, at)):
            return run, name
        name = resumed_key(key, number)
    return run, name


def told_of(run: Json, member: str) -> Json:
    """An object in the run's metadata. Programs may have put anything else in its place."""
    found = run["metadata"].get(member)
    return found if isinstance(found, dict) else {}


def is_over(run: Json, at: str) -> bool:
    """Whether the run has ended so long before that this is of the next one. One that a person cancelled has
    no next one: its agent only hasn't stopped yet."""
    if run["status"] not in ("completed", "failed") or not run["finished_at"]:
        return False
    return times.parse(at) > times.parse(run["finished_at"]) + LATE


async def _of_session(transaction: Transaction, project_id: UUID, target: Session, at: str) -> Json:
    facts = [("via", VIA)] + ([("version", target.version)] if target.version else [])
    session = sessions.Session(target.program, target.session_id, None, tuple(facts))
    is_new = await names.find(transaction.connection, project_id, session.key) is None
    run = await sessions.current(transaction, project_id, session, resumes=False)
    if is_over(run, at):
        run = await sessions.current(transaction, project_id, session, resumes=True)
        is_new = told_of(run, "agent").get("via") == VIA
    if is_new:
        await silence.begin(transaction.connection, project_id, UUID(run["id"]), silence.SESSION)
    return run


async def _of_service(transaction: Transaction, project_id: UUID, target: Service, at: str) -> Json:
    key = session_key("otel", f"{target.name}-{target.instance or target.day}")
    run, free = await next_free(transaction, project_id, key, at)
    if run is not None:
        return run
    about = {"service": target.name, "instance": target.instance or None}
    new = RunNew(
        key=free,
        name=target.name[:NAME_CHARACTERS],
        phase="service",
        steps=[],
        status="running",
        agent_type="SERVICE",
        agent_name=target.name[:NAME_CHARACTERS],
        metadata={"otel": about},
    )
    return await make(transaction, project_id, new, silence.SESSION)
