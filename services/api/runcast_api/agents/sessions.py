"""The run of an agent's session: found, made, or gone on with under the next name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from runcast.agents.identity import resumed_key, session_key
from runcast.contract import TERMINAL_STATUSES
from runcast_api.runs import bare, names, runs
from runcast_api.runs.schemas import RunNew, RunPatch
from runcast_server.eventlog.log import Transaction

Json = dict[str, Any]

NAME_CHARACTERS = 80
_OF_COMMAND = """
SELECT id, status, agent_type, aliases, metadata -> 'agent' ->> 'program' AS program
FROM runs WHERE id = $1 AND project_id = $2
"""
SESSION_TYPES = ("SESSION", "SUBAGENT")


@dataclass(frozen=True, slots=True)
class Session:
    """What a hook says of the session that it belongs to."""

    program: str
    session_id: str
    agent_id: str | None = None
    facts: tuple[tuple[str, str], ...] = ()
    """Members of `metadata.agent`: cwd, model, version …"""

    @property
    def key(self) -> str:
        return session_key(self.program, self.session_id, self.agent_id)

    @property
    def parent(self) -> Session | None:
        """The session that started this one, where this is a sub-agent's."""
        return Session(self.program, self.session_id, None, self.facts) if self.agent_id else None


async def current(
    transaction: Transaction,
    project_id: UUID,
    session: Session,
    *,
    resumes: bool,
    stops: bool = False,
    within: UUID | None = None,
) -> Json:
    """The session's run, locked; made where there is none.

    With `resumes`, a session whose run has ended goes on as a new run (`<key>.r2` …); without, or with
    `stops` where it was cancelled, the ended run is answered. `within`: the run in which the agent was
    started, by `runcast exec` or a tracker. The run of a command that is this very agent becomes the
    session's; else the session is its child.
    """
    key = session.key
    run_id = await names.find(transaction.connection, project_id, key)
    if run_id is None:
        taken = await _of_command(transaction, project_id, session, within)
        return taken or await _make(transaction, project_id, session, key, within=within)
    run = await runs.lock(transaction, run_id)
    if run["status"] == "queued" and await bare.fill(
        transaction, project_id, _new(session, run["key"], None, None)
    ):
        run = await runs.lock(transaction, run_id)
    for number in range(2, names.MAX_RESUMED):
        if run["status"] not in TERMINAL_STATUSES:
            break
        next_key = resumed_key(key, number)
        run_id = await names.find(transaction.connection, project_id, next_key)
        if run_id is None:
            if resumes and not (stops and run["status"] == "cancelled"):
                before = run["key"]
                taken = await _of_command(transaction, project_id, session, within, next_key)
                return taken or await _make(
                    transaction, project_id, session, next_key, before, within
                )
            break
        run = await runs.lock(transaction, run_id)
    return run


async def _of_command(
    transaction: Transaction,
    project_id: UUID,
    session: Session,
    within: UUID | None,
    key: str | None = None,
) -> Json | None:
    """The run of the command that is this agent, which is the session's from now on; None for another one."""
    if within is None or session.agent_id is not None:
        return None
    row = await transaction.connection.fetchrow(_OF_COMMAND, within, project_id)
    if (
        row is None
        or row["status"] in TERMINAL_STATUSES
        or row["agent_type"] in SESSION_TYPES
        or row["program"] != session.program
        or row["aliases"]
    ):
        return None
    run = await runs.lock(transaction, within)
    return await runs.patch(transaction, UUID(run["id"]), RunPatch(aliases=[key or session.key]))


async def _make(
    transaction: Transaction,
    project_id: UUID,
    session: Session,
    key: str,
    resumes: str | None = None,
    within: UUID | None = None,
) -> Json:
    parent = session.parent
    parent_id = None
    if parent is not None:
        of_parent = await current(transaction, project_id, parent, resumes=True, within=within)
        parent_id = UUID(of_parent["id"])
    elif within is not None and await transaction.connection.fetchval(
        "SELECT true FROM runs WHERE id = $1 AND project_id = $2", within, project_id
    ):
        parent_id = within
    new = _new(session, key, resumes, parent_id)
    run, _ = await runs.create(transaction, project_id, new)
    return await runs.lock(transaction, UUID(run["id"]))


def _new(session: Session, key: str, resumes: str | None, parent_id: UUID | None) -> RunNew:
    about: Json = {"program": session.program, "session_id": session.session_id}
    about |= dict(session.facts)
    if resumes is not None:
        about["resumes"] = resumes
    return RunNew(
        key=key,
        phase="session",
        steps=[],
        status="running",
        agent_type="SUBAGENT" if session.agent_id else "SESSION",
        agent_name=session.program,
        metadata={"agent": about},
        parent_run_id=parent_id,
    )


def title_of(text: str) -> str:
    """A run's name from what a person asked for: its first line, shortened."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "").replace(
        "\x00", ""
    )
    return first if len(first) <= NAME_CHARACTERS else first[: NAME_CHARACTERS - 1] + "…"
