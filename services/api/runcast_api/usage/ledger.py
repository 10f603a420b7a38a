"""From reports of totals, or of single requests, to what was used when: each token counts once.

A report of a total is compared with the one before, model by model; what came since is priced and added to
the day's rows. Totals that went back (a report of something else) add nothing. The agent's own cost wins over
an estimate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from runcast_api.runs.annotations import MAX_MODELS
from runcast_api.usage import prices
from runcast_server.eventlog.log import Transaction

Json = dict[str, Any]

COUNTS = (
    "requests",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
MOST_DOLLARS = 1e12 - 1
OTHERS = "others"
"""What a run's usage counts for models beyond the first ones."""
MOST = 2**53 - 1
"""No sum says more: what any program's numbers hold exactly."""
_NOTHING: Json = dict.fromkeys(COUNTS, 0)

_SUMS = ", ".join(
    f"{name} = least(u.{name} + excluded.{name}, {MOST})" for name in (*COUNTS, "priced_tokens")
)
_ADD = f"""
INSERT INTO usage_daily AS u (project_id, day, run_id, model, agent, requests, input_tokens, output_tokens,
                              cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_usd,
                              priced_tokens)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (project_id, day, run_id, model) DO UPDATE SET {_SUMS}, cost_usd = u.cost_usd + excluded.cost_usd
"""


@dataclass(frozen=True, slots=True)
class Used:
    """What came since the report before, of one model; `cost` in dollars, None where it isn't known."""

    model: str
    counts: Json
    cost: float | None


def advance(before: Json | None, total: Json, model: str) -> tuple[Json, list[Used]]:
    """The total to keep, with its cost, and what came since `before`. `model` is the one of a report that
    names none."""
    old, new = _by_model(before or {}, model), _by_model(total, model)
    fresh = {name: _since(old.get(name, _NOTHING), counts) for name, counts in new.items()}
    if total.get("cost_usd") is not None:
        came = max(total["cost_usd"] - ((before or {}).get("cost_usd") or 0.0), 0.0)
        return total | {"cost_by": total.get("cost_by") or "agent"}, _shared(fresh, came)
    used = [
        Used(name, counts, prices.cost_of(name, counts) if name else None)
        for name, counts in fresh.items()
        if any(counts.values())
    ]
    return _with_costs(before or {}, total, old, new, used), used


def _by_model(usage: Json, model: str) -> dict[str, Json]:
    named = usage.get("by_model") or {}
    if named:
        return dict(named)
    return {model: usage} if any(usage.get(name) for name in COUNTS) else {}


def _since(old: Mapping[str, Any], new: Mapping[str, Any]) -> Json:
    return {name: max((new.get(name) or 0) - (old.get(name) or 0), 0) for name in COUNTS}


def _shared(fresh: dict[str, Json], cost: float) -> list[Used]:
    """The agent's cost, shared among the models by their tokens."""
    moved = {name: counts for name, counts in fresh.items() if any(counts.values())}
    if not moved:
        return [Used("", dict(_NOTHING), cost)] if cost else []
    weights = {name: tokens_of(counts) or 1 for name, counts in moved.items()}
    whole = sum(weights.values())
    return [Used(name, counts, cost * weights[name] / whole) for name, counts in moved.items()]


def _with_costs(
    before: Json, total: Json, old: dict[str, Json], new: dict[str, Json], used: list[Used]
) -> Json:
    """The total with estimates: what was known before, and what came."""
    came = {each.model: each.cost for each in used}
    by_model: dict[str, Json] = {}
    for name, counts in new.items():
        known = [old.get(name, {}).get("cost_usd"), came.get(name)]
        costs = [cost for cost in known if cost is not None]
        cost = min(sum(costs), MOST_DOLLARS) if costs else None
        by_model[name] = dict(counts) | {
            "cost_usd": cost,
            "cost_by": None if cost is None else "estimate",
        }
    costs = [each["cost_usd"] for each in by_model.values() if each["cost_usd"] is not None]
    kept = before.get("cost_usd") if not costs else min(sum(costs), MOST_DOLLARS)
    shown = total | {"cost_usd": kept, "cost_by": None if kept is None else "estimate"}
    return shown | {"by_model": by_model} if total.get("by_model") else shown


def added(before: Json | None, model: str, request: Json) -> Json:
    """The total with one more request of a model."""
    held: Json = before or {"context_tokens": None, "context_window": None, "by_model": {}}
    total = _plus(held, request)
    by_model = dict(held.get("by_model") or {})
    if model not in by_model and len(by_model) >= MAX_MODELS - 1:
        model = OTHERS
    mine = by_model.get(model, _NOTHING | {"cost_usd": None, "cost_by": None})
    by_model[model] = dict(mine) | _plus(mine, request)
    return dict(held) | total | {"by_model": by_model, "cost_usd": None, "cost_by": None}


def _plus(held: Mapping[str, Any], request: Mapping[str, Any]) -> Json:
    return {name: min((held.get(name) or 0) + (request.get(name) or 0), MOST) for name in COUNTS}


def tokens_of(counts: Mapping[str, Any]) -> int:
    """All tokens of a request or a total; reasoning is part of the output."""
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    return sum(int(counts.get(name) or 0) for name in names)


async def keep(transaction: Transaction, run: Json, used: Iterable[Used]) -> None:
    """Adds what was used to this day's rows."""
    today = datetime.now(UTC).date()
    for each in sorted(used, key=lambda one: one.model):
        await transaction.connection.execute(
            _ADD,
            UUID(run["project_id"]),
            today,
            UUID(run["id"]),
            each.model,
            run["agent_name"] or "",
            *(each.counts[name] for name in COUNTS),
            each.cost or 0.0,
            0 if each.cost is None else min(tokens_of(each.counts), MOST),
        )


def model_of(run: Json) -> str:
    """The model that the run's agent says it uses."""
    agent = run["metadata"].get("agent")
    model = agent.get("model") if isinstance(agent, dict) else None
    return model[:200] if isinstance(model, str) else ""
