"""Many changes of a project's runs in one request, each with an answer of its own.

Items are done in their order, some dozens in a transaction: every item in a savepoint, so that one that is
refused takes only itself back. What a later item names may have been made by an earlier one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from runcast.contract import Status
from runcast_api.board import access as board_access
from runcast_api.http import problems
from runcast_api.http.fields import NoNul
from runcast_api.runs import deletion, runs
from runcast_api.runs.deletion import RunDeleted
from runcast_api.runs.schemas import RunNew, RunPatch
from runcast_server import outages, refusals
from runcast_server.auth import access, rights
from runcast_server.auth.access import ProjectAccess
from runcast_server.auth.principal import Principal
from runcast_server.errors import NotFound, Problem
from runcast_server.eventlog.log import Transaction

ITEMS = 1000
"""Items of one request."""
TOGETHER = 50
"""Items of one transaction: it holds the locks of their runs."""

log = structlog.get_logger()

Reference = Annotated[str, Field(max_length=128, description="An id, key or number."), NoNul]


class BulkCreate(BaseModel):
    """Makes a run of `body`, as `POST /projects/{project}/runs` does."""

    model_config = ConfigDict(extra="forbid")

    op: Literal["create"]
    body: RunNew = RunNew()


class BulkPatch(BaseModel):
    """Changes a run by `body`, as `PATCH /runs/{run}` does."""

    model_config = ConfigDict(extra="forbid")

    op: Literal["patch"]
    run: Reference
    body: RunPatch


class BulkCancel(BaseModel):
    """Cancels a run."""

    model_config = ConfigDict(extra="forbid")

    op: Literal["cancel"]
    run: Reference


class BulkDelete(BaseModel):
    """Deletes a run with its log and artifacts."""

    model_config = ConfigDict(extra="forbid")

    op: Literal["delete"]
    run: Reference


Item = BulkCreate | BulkPatch | BulkCancel | BulkDelete
ITEM_MODELS = (BulkCreate, BulkPatch, BulkCancel, BulkDelete)
_REFERENCES = [{"$ref": f"#/components/schemas/{model.__name__}"} for model in ITEM_MODELS]
_item: TypeAdapter[Item] = TypeAdapter(Annotated[Item, Field(discriminator="op")])


class Bulk(BaseModel):
    """What to do, in this order. Each item is read on its own: one that is wrong costs itself."""

    model_config = ConfigDict(extra="forbid")

    items: Annotated[
        list[Any],
        Field(
            min_length=1,
            max_length=ITEMS,
            json_schema_extra={"items": {"oneOf": _REFERENCES}},
        ),
    ]


class Refused(BaseModel):
    """Why an item wasn't done, as the single request would have said it."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str | None = None


class ChangedRun(BaseModel):
    """Which run was made or changed, and how it stands now. `GET /runs/{run}` shows all of it: a thousand
    changes of runs with large members would make an answer of gigabytes."""

    id: UUID
    number: int
    key: str | None
    status: Status
    updated_at: str


class Result(BaseModel):
    """The `status` that the single request would have had, and the run, what went with it, or why not."""

    status: int
    run: ChangedRun | None = None
    deleted: RunDeleted | None = None
    problem: Refused | None = None


class BulkDone(BaseModel):
    """An answer for each item, in their order."""

    results: list[Result]
    done: int
    refused: int


@dataclass(frozen=True, slots=True)
class Bench:
    """Where items are done, and for whom."""

    project: ProjectAccess
    caller: Principal

    @property
    def may_erase(self) -> bool:
        """Whether the caller may delete runs here at all."""
        return self.project.role >= rights.ERASE

    async def do(
        self, transaction: Transaction, items: Sequence[Item | Problem]
    ) -> list[dict[str, Any]]:
        """An answer for each item. Raises what says that the database is away or busy."""
        results: list[dict[str, Any]] = []
        gone: list[UUID] = []
        for item in items:
            before = transaction.mark()
            try:
                if isinstance(item, Problem):
                    raise item
                async with transaction.connection.transaction():
                    results.append(await self._do(transaction, item, gone))
            except Exception as error:  # One item's failure costs that item.
                if outages.is_outage(error) or (refusal := refusals.of(error)).status == 503:
                    raise
                if refusal.status == 500:
                    log.error("bulk.item_failed", error=outages.named(error), exc_info=error)
                transaction.take_back(before)
                results.append(refused(refusal))
        if gone:
            await deletion.forget_copies(transaction.connection, self.project.id, gone)
        return results

    async def _do(self, transaction: Transaction, item: Item, gone: list[UUID]) -> dict[str, Any]:
        if isinstance(item, BulkCreate):
            return await self._create(transaction, item.body)
        run_id = await self._find(transaction, item.run)
        if isinstance(item, BulkPatch):
            return done(200, await runs.patch(transaction, run_id, item.body))
        if isinstance(item, BulkCancel):
            return done(200, await runs.cancel(transaction, run_id, self.caller))
        access.require(self.project.role, rights.ERASE)
        told = await deletion.remove(transaction, self.project.id, run_id)
        gone.append(run_id)
        return {"status": 200, "deleted": told}

    async def _create(self, transaction: Transaction, new: RunNew) -> dict[str, Any]:
        connection, project_id = transaction.connection, self.project.id
        await board_access.require_work(connection, project_id, new.agent_type, new.task_id)
        made = await runs.create(transaction, project_id, new, created_by=self.caller.user_id)
        return done(201 if made[1] else 200, made[0])

    async def _find(self, transaction: Transaction, reference: str) -> UUID:
        """The run of the project that is meant. Raises `NotFound`."""
        connection, run_id = transaction.connection, access.as_uuid(reference)
        if run_id is None:
            run_id = await access.run_by_name(connection, self.project.id, reference)
        if run_id is None or not await connection.fetchval(
            "SELECT true FROM runs WHERE id = $1 AND project_id = $2", run_id, self.project.id
        ):
            raise NotFound(f"no run {reference!r} in this project")
        return run_id


def read(given: Sequence[Any]) -> list[Item | Problem]:
    """The items; in the place of one that can't be read, why."""
    return [_read(place, one) for place, one in enumerate(given)]


def _read(place: int, given: Any) -> Item | Problem:
    try:
        return _item.validate_python(given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        # Where the operation is known, pydantic names it first.
        told = [{**each, "loc": each["loc"][1:]} for each in found]
        return problems.invalid(told, "body", "items", str(place))


def done(status: int, run: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of an item that made or changed a run."""
    return {"status": status, "run": {name: run[name] for name in ChangedRun.model_fields}}


def refused(problem: Problem) -> dict[str, Any]:
    """The answer of an item that was not done."""
    return {"status": problem.status, "problem": problem.body()}
