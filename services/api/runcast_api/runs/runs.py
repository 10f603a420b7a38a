"""Runs: made, changed and ended; every change is told as events in the same transaction.

Functions that take a `Transaction` lock the run's row first, so that what they read is what they change.
They raise `Problem` before they write.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from runcast._support import times
from runcast._support.ids import uuid7
from runcast.contract import TERMINAL_STATUSES
from runcast_api.board import cancelled_claims
from runcast_api.questions import closing
from runcast_api.runs import bare, family, names
from runcast_api.runs.annotations import (
    attention_with,
    labels_with,
)
from runcast_api.runs.schemas import Heartbeat, RetryNew, RunNew, RunPatch
from runcast_api.usage import ledger
from runcast_server import runs
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection
from runcast_server.errors import Conflict, Invalid, NotFound
from runcast_server.eventlog import frames
from runcast_server.eventlog.log import Transaction
from runcast_server.runs import in_milliseconds

_ANNOTATIONS = frozenset(
    {"parent_run_id", "parent_key", "attention", "usage", "budget", "aliases", "labels"}
)
"""What is told of a run beside what it is made of."""

_AGENT_EVENTS = {
    "running": ("agent:started", ()),
    "completed": ("agent:completed", ("result", "pr_url")),
    "failed": ("agent:failed", ("error", "will_retry")),
}

_INSERT = f"""
INSERT INTO runs (id, key, name, phase, current_step, steps, status, agent_type, agent_name, task_id,
                  input, metadata, step_timestamps, created_at, heard_at, updated_at, started_at,
                  finished_at, labels, attention, usage, aliases, budget, project_id, parent_run_id, attempt,
                  retry_of, is_watched, created_by, directory_speaks)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, $14, $15, $16, $17, $18, $19, $20,
       coalesce($21::json, (SELECT run_budget FROM projects WHERE id = $22 AND $23::uuid IS NULL)),
       $22, $23, $24, $25, $26, $27, $28
WHERE NOT EXISTS (SELECT FROM tombstones WHERE id = $1)
  AND NOT EXISTS (SELECT FROM runs WHERE id = $1 OR (project_id = $22 AND key = $2))
  AND NOT EXISTS (SELECT FROM run_aliases WHERE project_id = $22 AND alias = $2)
ON CONFLICT DO NOTHING RETURNING {runs.COLUMNS}
"""
"""What is taken is looked for first, so that a repeated creation takes no number."""

_HAS_DIRECTORY = """
UPDATE runs SET directory_speaks = true WHERE id = $1 AND NOT directory_speaks
"""

# By as much as it was taken for, or up to the next promised heartbeat. Too late is too late.
_EXTEND_LEASE = """
UPDATE tasks SET lease_expires_at =
    clock_timestamp() + make_interval(secs => greatest(lease_seconds, $2 * 1.5))
WHERE run_id = $1 AND status = 'IN_PROGRESS' AND lease_expires_at > clock_timestamp()
"""


def moment() -> datetime:
    """Now, as precise as it is shown, so that what is stored and what is told are the same."""
    now = times.now()
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


async def create(
    transaction: Transaction,
    project_id: UUID,
    new: RunNew,
    *,
    created_by: UUID | None = None,
    attempt: int = 1,
    retry_of: UUID | None = None,
    is_watched: bool = False,
    makes_parent: bool = False,
    has_directory: bool = False,
) -> tuple[dict[str, Any], bool]:
    """The run, and whether it is new. One with this id in this project is answered as it is. One that was
    made bare, as the parent of another, is filled in. With `makes_parent` so is made a parent that is named
    by an id that no run has had.

    Where it `has_directory`, the tailer may change it by what it finds in the files of that.

    Raises `Conflict` for an id that is or was taken elsewhere, and for a key or an alias that is taken;
    `Invalid` for a parent that isn't there.
    """
    connection = transaction.connection
    now = moment()
    filled = await bare.fill(transaction, project_id, new)
    if filled is not None:
        changes = {name: getattr(new, name) for name in _ANNOTATIONS & new.model_fields_set}
        if filled["status"] == "queued":
            changes["status"] = new.status
        if has_directory:
            await connection.execute(_HAS_DIRECTORY, UUID(filled["id"]))
        return await patch(transaction, UUID(filled["id"]), RunPatch(**changes)), True
    if new.aliases:
        await names.require_free(connection, project_id, new.aliases, new.id)
    if makes_parent and new.parent_run_id is not None:
        await bare.make(transaction, project_id, new.parent_run_id, None)
    parent = await _parent_of(transaction, project_id, new, None)
    origin = (attempt, retry_of, is_watched, created_by, has_directory)
    usage: dict[str, Any] | None = None
    used: list[ledger.Used] = []
    if new.usage is not None:
        model = ledger.model_of({"metadata": new.metadata})
        usage, used = ledger.advance(None, new.usage.model_dump(mode="json"), model)
    state = _first_state(new, usage, now)
    row = await connection.fetchrow(_INSERT, *state, project_id, parent, *origin)
    if row is None:
        there = await _existing(connection, project_id, new)
        if has_directory:
            await connection.execute(_HAS_DIRECTORY, UUID(there["id"]))
        return there, False
    run = runs.as_json(row)
    if new.aliases:
        await names.store(connection, project_id, row["id"], new.aliases)
    await ledger.keep(transaction, run, used)
    created = runs.work_ids(run) | {"run": run, "at": in_milliseconds(now)}
    transaction.emit(project_id, frames.event("run:created", created, run_id=row["id"]))
    _tell_agent(transaction, run)
    return run, True


def _first_state(new: RunNew, usage: dict[str, Any] | None, now: datetime) -> tuple[Any, ...]:
    """The columns of a run that begins now, in the order of `_INSERT`."""
    has_ended = new.status in TERMINAL_STATUSES
    has_started = has_ended or new.status == "running"
    return (
        new.id or uuid7(),
        new.key,
        new.name,
        new.phase,
        new.current_step,
        new.steps,
        new.status,
        new.agent_type,
        new.agent_name,
        new.task_id,
        new.input,
        new.metadata,
        {} if new.current_step is None else {new.current_step: in_milliseconds(now)},
        now,
        now if has_started else None,
        now if has_ended else None,
        new.labels,
        attention_with(None, new.attention, times.to_milliseconds(now)),
        usage,
        new.aliases,
        new.budget and new.budget.model_dump(mode="json"),
    )


async def _parent_of(
    transaction: Transaction, project_id: UUID, given: RunNew | RunPatch, child: UUID | None
) -> UUID | None:
    """The parent that `given` names. One that is named by a key and isn't there yet is made, bare."""
    if given.parent_run_id is not None and given.parent_key is not None:
        raise Invalid.of("body.parent_key", "name the parent by its id or by its key, not both")
    parent = given.parent_run_id
    if given.parent_key is not None:
        parent = await names.find(transaction.connection, project_id, given.parent_key)
        if parent is None:
            return await bare.make(transaction, project_id, None, given.parent_key)
    if parent is not None:
        await family.require_parent(transaction.connection, project_id, parent, child)
    return parent


async def _existing(connection: Connection, project_id: UUID, new: RunNew) -> dict[str, Any]:
    """The run that stood in the way of a new one, where it is the same; else raises `Conflict`."""
    if new.id is not None:
        row = await connection.fetchrow(
            f"SELECT {runs.COLUMNS} FROM runs WHERE id = $1 FOR SHARE", new.id
        )
        if row is not None and row["project_id"] == project_id:
            return runs.as_json(row)
        if row is not None or await connection.fetchval(
            "SELECT true FROM tombstones WHERE id = $1", new.id
        ):
            raise Conflict("this id is taken")
    other = new.key and await names.find(connection, project_id, new.key)
    raise Conflict(f"the key {new.key!r} is taken", extra={"run_id": str(other)})


async def lock(transaction: Transaction, run_id: UUID) -> dict[str, Any]:
    """The run as it is, locked until the transaction's end. Raises `NotFound`."""
    row = await transaction.connection.fetchrow(
        f"SELECT {runs.COLUMNS} FROM runs WHERE id = $1 FOR NO KEY UPDATE", run_id
    )
    if row is None:
        raise NotFound(f"no run '{run_id}'")
    return runs.as_json(row)


async def patch(transaction: Transaction, run_id: UUID, changes: RunPatch) -> dict[str, Any]:
    """The run with the changes made. Raises `Conflict` for a status after the end, `Invalid` for a step
    that the run doesn't have."""
    run = await lock(transaction, run_id)
    given = {name: getattr(changes, name) for name in changes.model_fields_set}
    if "metadata" in given:
        given["metadata"] = run["metadata"] | given["metadata"]
    await _annotate(transaction, run, given, changes)
    return await change(transaction, run, given)


async def _annotate(
    transaction: Transaction, run: dict[str, Any], given: dict[str, Any], changes: RunPatch
) -> None:
    """Turns what a patch gives of the run's annotations into the values to keep."""
    run_id, project_id = UUID(run["id"]), UUID(run["project_id"])
    if "labels" in given:
        try:
            given["labels"] = labels_with(run["labels"], given["labels"])
        except ValueError as error:
            raise Invalid.of("body.labels", str(error)) from None
    if "attention" in given and run["attention"] and run["attention"]["question_id"]:
        del given["attention"]  # It goes with its question, whatever a watcher sees.
    if "attention" in given:
        now = times.to_milliseconds(times.now())
        given["attention"] = attention_with(run["attention"], given["attention"], now)
    if given.get("usage") is not None:
        total = given["usage"].model_dump(mode="json")
        given["usage"], used = ledger.advance(run["usage"], total, ledger.model_of(run))
        await ledger.keep(transaction, run, used)
    if given.get("budget") is not None:
        given["budget"] = given["budget"].model_dump(mode="json")
    if "parent_run_id" in given or given.pop("parent_key", None) is not None:
        parent = await _parent_of(transaction, project_id, changes, run_id)
        given["parent_run_id"] = None if parent is None else str(parent)
    if "aliases" in given and given["aliases"] != run["aliases"]:
        await names.require_free(transaction.connection, project_id, given["aliases"], run_id)
        await names.store(transaction.connection, project_id, run_id, given["aliases"])


async def change(
    transaction: Transaction,
    run: dict[str, Any],
    given: dict[str, Any],
    now: datetime | None = None,
) -> dict[str, Any]:
    """Changes members of a locked run to the values given, and tells what really changed.

    The order of the events: step, other fields, status, the agent's own after its status. The subtask that a
    cancelled run held fails in the commit that follows. With `now` something was told of the run at that
    moment: then it is updated, whether or not a value differs.
    """
    _guard(run, given)
    changed = {name: value for name, value in given.items() if value != run[name]}
    if not changed and now is None:
        await _hear(transaction.connection, UUID(run["id"]))
        return run
    now = now or moment()
    at = in_milliseconds(now)
    new = run | changed | {"updated_at": at}
    if "current_step" in changed:
        stamps = run["step_timestamps"]
        new["step_timestamps"] = {
            **stamps,
            new["current_step"]: stamps.get(new["current_step"], at),
        }
    if new["status"] in TERMINAL_STATUSES and "status" in changed:
        new["finished_at"] = at
        await closing.cancel_all(transaction, UUID(run["id"]), now)
        if run["attention"] is not None and "attention" not in given:
            new["attention"] = changed["attention"] = None
    if new["status"] == "running" and run["started_at"] is None:
        new["started_at"] = at
    await _store(transaction.connection, new, now)
    _tell(transaction, run, new, changed, at)
    if changed.get("status") == "cancelled":
        await cancelled_claims.fail_claim(transaction, new)
    return new


def _guard(run: dict[str, Any], given: dict[str, Any]) -> None:
    old, status = run["status"], given.get("status", run["status"])
    if old in TERMINAL_STATUSES and status != old:
        raise Conflict(f"the run is {old}, which never changes; it can't become {status}")
    step = given.get("current_step")
    if step is not None and step != run["current_step"] and step not in run["steps"]:
        raise Invalid.of("body.current_step", f"{step!r} is not one of the run's steps")


async def _store(connection: Connection, run: dict[str, Any], now: datetime) -> None:
    await connection.execute(
        """UPDATE runs SET status = $2, current_step = $3, step_timestamps = $4, error = $5,
               will_retry = $6, result = $7, pr_url = $8, metadata = $9, progress = $10,
               started_at = $11, finished_at = $12, updated_at = $13,
               heard_at = greatest(heard_at, $13), name = $14, labels = $15, parent_run_id = $16,
               attention = $17, usage = $18, aliases = $19, budget = $20, metrics = $21,
               budget_spent = CASE WHEN budget::text IS DISTINCT FROM $20::json::text THEN 0
                                   ELSE budget_spent END,
               awaits_answer = awaits_answer AND status = $2
           WHERE id = $1""",
        UUID(run["id"]),
        run["status"],
        run["current_step"],
        run["step_timestamps"],
        run["error"],
        run["will_retry"],
        run["result"],
        run["pr_url"],
        run["metadata"],
        run["progress"],
        times.parse(run["started_at"]) if run["started_at"] else None,
        times.parse(run["finished_at"]) if run["finished_at"] else None,
        now,
        run["name"],
        run["labels"],
        UUID(run["parent_run_id"]) if run["parent_run_id"] else None,
        run["attention"],
        run["usage"],
        run["aliases"],
        run["budget"],
        run["metrics"],
    )


def _tell(
    transaction: Transaction,
    old: dict[str, Any],
    new: dict[str, Any],
    changed: dict[str, Any],
    at: str | None,
) -> None:
    project_id, run_id = UUID(new["project_id"]), UUID(new["id"])
    ids = runs.work_ids(new)

    def emit(type: str, data: dict[str, Any]) -> None:
        transaction.emit(project_id, frames.event(type, ids | data | {"at": at}, run_id=run_id))

    if "current_step" in changed:
        steps = {"old_step": old["current_step"], "new_step": new["current_step"]}
        emit("run:step_changed", steps)
    others = {
        name: value
        for name, value in changed.items()
        if name not in ("status", "current_step", "progress")
    }
    if others:
        emit("run:updated", {"changed": others})
    if "status" in changed:
        emit("run:status_changed", {"old_status": old["status"], "new_status": new["status"]})
        _tell_agent(transaction, new)


def _tell_agent(transaction: Transaction, run: dict[str, Any]) -> None:
    if run["status"] in _AGENT_EVENTS:
        type, members = _AGENT_EVENTS[run["status"]]
        data = runs.work_ids(run) | {"run": run} | {name: run[name] for name in members}
        run_id = UUID(run["id"])
        transaction.emit(UUID(run["project_id"]), frames.event(type, data, run_id=run_id))


async def _hear(connection: Connection, run_id: UUID) -> None:
    await connection.execute("UPDATE runs SET heard_at = clock_timestamp() WHERE id = $1", run_id)


async def cancel(transaction: Transaction, run_id: UUID, caller: Principal) -> dict[str, Any]:
    """The run, cancelled. Raises `Conflict` where it ended in another way."""
    run = await change(transaction, await lock(transaction, run_id), {"status": "cancelled"})
    await transaction.connection.execute(
        "UPDATE runs SET cancelled_by = coalesce(cancelled_by, caller_name($2, $3)) WHERE id = $1",
        run_id,
        caller.user_id,
        caller.key_id,
    )
    return run


async def await_answer(
    transaction: Transaction, run: dict[str, Any], attention: dict[str, Any] | None, now: datetime
) -> None:
    """A locked run has asked something: it needs attention, and one that was running waits."""
    if run["status"] != "running":
        await change(transaction, run, {"attention": attention}, now)
        return
    await change(transaction, run, {"attention": attention, "status": "awaiting_feedback"}, now)
    await transaction.connection.execute(
        "UPDATE runs SET awaits_answer = true WHERE id = $1", UUID(run["id"])
    )


async def go_on(
    transaction: Transaction,
    run: dict[str, Any],
    attention: dict[str, Any] | None,
    now: datetime,
    *,
    is_last: bool,
) -> None:
    """A question of a locked run was closed. After the last one the run works again, if it waited for nothing
    but answers and no one has changed its status since."""
    given: dict[str, Any] = {"attention": attention}
    if is_last and await transaction.connection.fetchval(
        "SELECT awaits_answer FROM runs WHERE id = $1", UUID(run["id"])
    ):
        given["status"] = "running"
    await change(transaction, run, given, now)


async def retry(
    transaction: Transaction, run_id: UUID, created_by: UUID | None, changed: RetryNew
) -> dict[str, Any]:
    """A new run like this one but for what is `changed`, queued, one attempt later; the old one stays as it
    is. Raises `Invalid` for too many labels, and as `create` does."""
    old = await lock(transaction, run_id)
    copied = (
        "name",
        "phase",
        "steps",
        "agent_type",
        "agent_name",
        "task_id",
        "input",
        "metadata",
        "labels",
        "parent_run_id",
        "budget",
    )
    given = changed.model_dump(exclude_unset=True)
    given["metadata"] = old["metadata"] | changed.metadata
    try:
        given["labels"] = labels_with(old["labels"], changed.labels)
    except ValueError as error:
        raise Invalid.of("body.labels", str(error)) from None
    copy = {name: old[name] for name in copied} | given
    new = RunNew.model_validate(copy | {"status": "queued"})
    run, _ = await create(
        transaction,
        UUID(old["project_id"]),
        new,
        created_by=created_by,
        attempt=old["attempt"] + 1,
        retry_of=run_id,
    )
    return run


async def heartbeat(transaction: Transaction, run_id: UUID, beat: Heartbeat) -> dict[str, Any]:
    """Notes a sign of life, and extends the lease of the subtask that the run works on; answers whether
    the worker should stop."""
    row = await transaction.connection.fetchrow(
        """UPDATE runs SET heard_at = clock_timestamp(), is_watched = true,
               expected_at = clock_timestamp() + make_interval(secs => $2)
           WHERE id = $1 RETURNING status, task_id""",
        run_id,
        beat.expect_next_in_s,
    )
    if row is None:
        raise NotFound(f"no run '{run_id}'")
    if row["task_id"] is not None and row["status"] not in TERMINAL_STATUSES:
        await transaction.connection.execute(_EXTEND_LEASE, run_id, beat.expect_next_in_s)
    return {"status": row["status"], "cancelled": row["status"] == "cancelled"}


async def show(connection: Connection, run_id: UUID) -> dict[str, Any]:
    """The run as it is. Raises `NotFound`."""
    row = await connection.fetchrow(f"SELECT {runs.COLUMNS} FROM runs WHERE id = $1", run_id)
    if row is None:
        raise NotFound(f"no run '{run_id}'")
    return runs.as_json(row)
