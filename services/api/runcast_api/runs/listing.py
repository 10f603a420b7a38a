"""Lists of runs: of one project, or of all that the caller may see; newest first, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from runcast.contract import Status
from runcast_api.conditions import Condition
from runcast_api.http import pagination, totals
from runcast_api.http.totals import ESTIMATED
from runcast_api.logs import like
from runcast_api.runs.annotations import AttentionKind
from runcast_api.runs.ordering import NEWEST, Order
from runcast_api.runs.schemas import Liveness, Run
from runcast_server import runs
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection
from runcast_server.errors import Invalid

_COLUMNS = ", ".join(f"r.{name}" for name in runs.MEMBERS)

_READABLE = """r.project_id IN (
    SELECT p.id FROM projects p WHERE p.deleted_at IS NULL AND ({0} OR p.id = {1}
        OR EXISTS (SELECT FROM project_members m WHERE m.project_id = p.id AND m.user_id = {2})))"""
# As `run_words` of the database has it, which costs a call for every run that is looked at.
_WORDS = """(r.id::text || coalesce(' ' || r.key, '') || coalesce(' ' || r.name, '')
    || coalesce(' ' || r.agent_name, '') || coalesce(' ' || r.agent_type, '')
    || coalesce(' ' || r.current_step, '')) ILIKE ALL ({0}::text[])"""
_FIND = "SELECT find_runs($1, $2, $3, $4, $5, $6, $7)"

_ACTIVE = f"""
SELECT {runs.COLUMNS} FROM runs
WHERE project_id = $1 AND {runs.IS_ACTIVE}
    AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid))
ORDER BY created_at DESC, id DESC LIMIT $4
"""

_ALL_ACTIVE = f"SELECT id FROM runs WHERE project_id = $1 AND {runs.IS_ACTIVE}"

_WALK = "SET LOCAL enable_sort = off; SET LOCAL plan_cache_mode = force_custom_plan"
_AS_BEFORE = "SET LOCAL enable_sort = on; SET LOCAL plan_cache_mode = auto"

NONE = "none"
MANY = totals.EXACT + 1
"""Runs that are found by words and labels before the others are guessed."""


class RunPage(BaseModel):
    runs: list[Run]
    total: int
    total_estimated: bool = ESTIMATED
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs, in which order.

    Of a project (None: all that the caller may see), in these states, with this key, at work on this task
    or subtask, with each word of `q` in id, key, name, agent or step, in any case; with all of these
    labels (a value of None: any), of one of these agents, in need of attention of one of these kinds, with
    this parent or none, in one of these states of life; created from `created_after` on and before
    `created_before`.
    """

    project_id: UUID | None
    statuses: Sequence[Status] = ()
    key: str | None = None
    task_id: UUID | None = None
    q: str | None = None
    labels: tuple[tuple[str, str | None], ...] = ()
    agents: tuple[str, ...] = ()
    attention: tuple[AttentionKind, ...] = ()
    parent: UUID | Literal["none"] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    liveness: tuple[Liveness, ...] = ()
    order: Order = NEWEST

    def condition(self, caller: Principal, found: Sequence[UUID] | None = None) -> Condition:
        """The statement's condition. What isn't asked for doesn't stand in it: no plan must do for both.
        `found` are the runs with these words and labels, where they were looked for before."""
        where = Condition()
        if self.project_id is not None:
            where.add("r.project_id = {0}", self.project_id)
        else:
            where.add(_READABLE, caller.is_admin, caller.project_id, caller.user_id)
        where.add_given("r.status = ANY({0}::text[])", list(self.statuses))
        where.add_given("r.liveness = ANY({0}::text[])", list(self.liveness))
        where.add_given("r.key = {0}", self.key)
        where.add_given("r.task_id = {0}", self.task_id)
        if found is not None:
            where.add("r.id = ANY({0}::uuid[])", found)
        else:
            where.add_given(_WORDS, self._patterns)
            where.add_given("r.labels @> {0}::jsonb", self._exact_labels)
        where.add_given("r.agent_name = ANY({0}::text[])", list(self.agents))
        where.add_given("r.attention->>'kind' = ANY({0}::text[])", list(self.attention))
        where.add_given("r.created_at >= {0}", self.created_after)
        where.add_given("r.created_at < {0}", self.created_before)
        where.add_given("r.labels ?& {0}::text[]", self._label_keys)
        if self.parent == NONE:
            where.add("r.parent_run_id IS NULL")
        else:
            where.add_given("r.parent_run_id = {0}", self.parent)
        return where

    @property
    def _words(self) -> list[str]:
        return (self.q or "").split()

    @property
    def _patterns(self) -> list[str]:
        """What `q` asks for, a pattern for each word."""
        return [like.containing(word) for word in self._words]

    @property
    def _exact_labels(self) -> dict[str, str]:
        return {key: value for key, value in self.labels if value is not None}

    @property
    def _label_keys(self) -> list[str]:
        """Labels that may have any value."""
        return [key for key, value in self.labels if value is None]

    @property
    def _is_found(self) -> bool:
        """Whether `found` has regard to everything that is asked for."""
        keys = tuple((key, None) for key in self._label_keys)
        rest = replace(self, statuses=(), q=None, labels=keys, agents=(), order=NEWEST)
        return rest == Wanted(self.project_id)

    async def found(self, connection: Connection) -> list[UUID] | None:
        """The runs with the words of `q` and with these labels, in these states and of these agents, from an
        index: `MANY` at most. None where neither words nor labels are asked for."""
        if not self._words and not self._exact_labels:
            return None
        among = (self._exact_labels or None, list(self.statuses) or None, list(self.agents) or None)
        rows = await connection.fetch(
            _FIND, self._words, self._patterns, self.project_id, MANY, *among
        )
        return [row[0] for row in rows]

    async def total(
        self, connection: Connection, where: Condition, found: Sequence[UUID] | None
    ) -> dict[str, Any]:
        """How many there are in all. What was looked for alone has been counted by that."""
        rows = f"SELECT r.id FROM runs r WHERE {where}"
        if found is None or not self._is_found:
            return await totals.of(connection, rows, *where.values)
        if len(found) < MANY:
            return {"total": len(found)}
        return await totals.estimated(connection, MANY, rows, *where.values)


async def active(
    connection: Connection, project_id: UUID, limit: int, cursor: str | None
) -> dict[str, Any]:
    """A page of the project's runs that are at work, newest first. Raises `Invalid` for a foreign cursor."""
    query = ("active", project_id)
    place = pagination.read(cursor, *query)
    total = await totals.of(connection, _ALL_ACTIVE, project_id)
    rows = await connection.fetch(
        _ACTIVE, project_id, place and place.at, place and place.id, limit + 1
    )
    last = rows[limit - 1] if len(rows) > limit else None
    return {
        "runs": [runs.as_json(row) for row in rows[:limit]],
        **total,
        "next_cursor": last
        and pagination.after(pagination.Place(last["created_at"], last["id"]), *query),
    }


async def page(
    connection: Connection, caller: Principal, wanted: Wanted, limit: int, cursor: str | None
) -> dict[str, Any]:
    """One page of runs, and how many there are in all. Raises `Invalid` for a foreign cursor."""
    query = ("runs", caller.name, wanted)
    order = wanted.order
    found = await wanted.found(connection)
    # Where MANY are found, walking through the list meets them as soon.
    is_all = found is not None and len(found) < MANY
    where = wanted.condition(caller, found if is_all else None)
    total = await wanted.total(connection, where, found)
    if cursor is not None:
        place = order.read_place(pagination.decode(cursor, *query))
        where.add(order.after(len(place)), *place)
    statement = f"""SELECT {_COLUMNS}, {order.columns} FROM runs r WHERE {where}
        ORDER BY {order.clause} LIMIT {limit + 1:d}"""
    rows = await _fetch(connection, statement, where.values, are_many="total_estimated" in total)
    shown = rows[:limit]
    last = shown[-1] if len(rows) > limit else None
    return {
        "runs": [runs.as_json(row) for row in shown],
        **total,
        "next_cursor": last and pagination.encode(order.place_of(last), *query),
    }


async def _fetch(
    connection: Connection, statement: str, values: Sequence[Any], *, are_many: bool
) -> Sequence[Any]:
    """The rows of a page. Postgres takes the policies of row-level security for far stricter than they are,
    and would fetch and sort half a million rows to show fifty. Where more match than are counted, it's told
    to walk in the order of an index, which meets them soon; a plan that was made before it was told would
    sort all the same, so one is made now."""
    if not are_many:
        return list(await connection.fetch(statement, *values))
    await connection.execute(_WALK)
    rows = list(await connection.fetch(statement, *values))
    await connection.execute(_AS_BEFORE)
    return rows


def fields_of(names: Sequence[str] | None) -> Sequence[str] | None:
    """Members of a run; None: all. Raises `Invalid` for one that runs don't have."""
    for name in names or ():
        if name not in runs.MEMBERS:
            raise Invalid.of("query.fields", f"runs have no member {name!r}")
    return names or None


def only(page: dict[str, Any], names: Sequence[str] | None) -> dict[str, Any]:
    """The page with these members of its runs alone."""
    if names is None:
        return page
    return page | {"runs": [{name: run[name] for name in names} for run in page["runs"]]}
