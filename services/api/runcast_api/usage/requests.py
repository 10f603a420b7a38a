"""Usage that is reported request by request, each with an id under which it counts once."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from runcast_api.http.fields import Name, NoNul
from runcast_api.runs import runs
from runcast_api.runs.annotations import Count, Dollars
from runcast_api.usage import ledger
from runcast_server.eventlog.log import Transaction

Json = dict[str, Any]

_NEW = """
INSERT INTO usage_requests (project_id, run_id, id)
SELECT $1, $2, id FROM unnest($3::text[]) AS new (id) ON CONFLICT DO NOTHING RETURNING id
"""


class UsedRequest(BaseModel):
    """One request to a model. `cost_usd` is what the agent says that it cost."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, StringConstraints(min_length=1, max_length=200), NoNul]
    model: Name
    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    reasoning_tokens: Count = 0
    cost_usd: Dollars | None = None


class UsedRequests(BaseModel):
    model_config = ConfigDict(extra="forbid")

    requests: Annotated[list[UsedRequest], Field(min_length=1, max_length=1000)]


async def add(transaction: Transaction, run_id: UUID, given: UsedRequests) -> Json:
    """The run, with the requests added that weren't known yet."""
    run = await runs.lock(transaction, run_id)
    ids = list(dict.fromkeys(request.id for request in given.requests))
    rows = await transaction.connection.fetch(_NEW, UUID(run["project_id"]), run_id, ids)
    fresh = {row["id"] for row in rows}
    total = run["usage"]
    used: list[ledger.Used] = []
    for request in given.requests:
        if request.id in fresh:
            fresh.discard(request.id)
            total, came = _with(total, request)
            used += came
    if not used:
        return run
    await ledger.keep(transaction, run, used)
    return await runs.change(transaction, run, {"usage": total})


def _with(before: Json | None, request: UsedRequest) -> tuple[Json, list[ledger.Used]]:
    counts = request.model_dump(exclude={"id", "model", "cost_usd"}) | {"requests": 1}
    total = ledger.added(before, request.model, counts)
    if request.cost_usd is None:
        return ledger.advance(before, total, request.model)
    cost = ((before or {}).get("cost_usd") or 0.0) + request.cost_usd
    cost = min(cost, ledger.MOST_DOLLARS)
    return ledger.advance(before, total | {"cost_usd": cost, "cost_by": "agent"}, request.model)
