"""What a run measures: numbers by name, one point after the other.

The last value of each name stands on the run, and a change of it is told as any other of its members. The
points stay in the order in which they came; a series is read back as this many points as fit on a chart, each
of which says the least, the greatest and the last value of those that it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from runcast.contract import METRIC_POINTS, METRICS
from runcast_api.http.fields import Name
from runcast_api.runs import runs
from runcast_server.db import Connection
from runcast_server.errors import Invalid
from runcast_server.eventlog.log import Transaction
from runcast_server.runs import in_milliseconds

AT_ONCE = 1000
SERIES = 20
"""Metrics whose series one answer shows: each is made of all of its points."""


def _without_comma(name: str) -> str:
    if "," in name:
        raise ValueError("must not hold a comma, which separates the names of metrics in a query")
    return name


MetricName = Annotated[Name, AfterValidator(_without_comma)]
Value = Annotated[float, Field(allow_inf_nan=False)]

_COUNTS = """
SELECT n AS name, coalesce((
    SELECT place FROM run_metrics WHERE run_id = $1 AND name = n ORDER BY place DESC LIMIT 1), 0) AS count
FROM unnest($2::text[]) AS n
"""
_INSERT = """
INSERT INTO run_metrics (project_id, run_id, name, place, step, value, at)
SELECT $1, $2, * FROM unnest($3::text[], $4::integer[], $5::bigint[], $6::float8[], $7::timestamptz[])
"""
_SERIES = f"""
SELECT m.name, s.count, ((m.place - 1)::bigint * $3 / greatest(s.count, $3))::integer AS bucket,
       (array_agg(m.step ORDER BY m.place DESC))[1] AS step, max(m.at) AS at,
       (array_agg(m.value ORDER BY m.place DESC))[1] AS value, min(m.value) AS min, max(m.value) AS max,
       count(*) AS points
FROM ({_COUNTS}) s
JOIN run_metrics m ON m.run_id = $1 AND m.name = s.name
GROUP BY m.name, s.count, bucket ORDER BY m.name, bucket
"""


_NAMES = "SELECT json_object_keys(metrics) AS name FROM runs WHERE id = $1 ORDER BY name"


class Measured(BaseModel):
    """Values that were measured together: `{"metrics": {"loss": 0.31}, "step": 12}`."""

    model_config = ConfigDict(extra="forbid")

    metrics: Annotated[dict[MetricName, Value], Field(min_length=1, max_length=METRICS)]
    step: Annotated[int, Field(ge=0, lt=2**53)] | None = None
    ts: AwareDatetime | None = None


class Metrics(BaseModel):
    """The last value of each metric of a run."""

    metrics: dict[str, float]


class Point(BaseModel):
    """What came together in one place of a chart: `value` is the last of `points` measurements."""

    step: int | None
    ts: str
    value: float
    min: float
    max: float
    points: int


class Series(BaseModel):
    """One metric from its first point to its last; `count` is how many were measured."""

    name: str
    count: int
    points: list[Point]


class SeriesList(BaseModel):
    """At most 20 series. `more` are the names of the run's metrics that were left out; ask for them by
    name."""

    series: list[Series]
    more: list[str]


async def add(
    transaction: Transaction, run_id: UUID, measured: Sequence[Measured]
) -> dict[str, Any]:
    """Keeps the points, and answers the last values. Raises `Invalid` for too many names or points."""
    run = await runs.lock(transaction, run_id)
    now = runs.moment()
    points = [
        (name, each.step, value, each.ts or now)
        for each in measured
        for name, value in each.metrics.items()
    ]
    last = run["metrics"] | {name: value for name, _, value, _ in points}
    if len(last) > METRICS:
        raise Invalid.of("body.metrics", f"a run has at most {METRICS} metrics")
    names = sorted({name for name, *_ in points})
    rows = await transaction.connection.fetch(_COUNTS, run_id, names)
    counts = {row["name"]: row["count"] for row in rows}
    places: list[int] = []
    for name, *_ in points:
        counts[name] += 1
        if counts[name] > METRIC_POINTS:
            limit = f"a run keeps {METRIC_POINTS:,} points of a metric"
            raise Invalid.of(f"body.metrics.{name}", limit)
        places.append(counts[name])
    columns = [list(column) for column in zip(*points, strict=True)]
    await transaction.connection.execute(
        _INSERT, UUID(run["project_id"]), run_id, columns[0], places, *columns[1:]
    )
    await runs.change(transaction, run, {"metrics": last}, now)
    return {"metrics": last}


async def series(
    connection: Connection, run_id: UUID, names: Sequence[str] | None, points: int
) -> dict[str, Any]:
    """The first metrics by name, or those of these names, each as `points` points at most. Raises `Invalid`
    for more than `SERIES` names."""
    more: list[str] = []
    if names is None:
        rows = await connection.fetch(_NAMES, run_id)
        every = [row["name"] for row in rows]
        names, more = every[:SERIES], every[SERIES:]
    wanted = list(dict.fromkeys(names))
    if len(wanted) > SERIES:
        raise Invalid.of("query.name", f"name at most {SERIES} metrics")
    found: dict[str, dict[str, Any]] = {}
    for row in await connection.fetch(_SERIES, run_id, wanted, points):
        one = found.setdefault(
            row["name"], {"name": row["name"], "count": row["count"], "points": []}
        )
        shown = {name: row[name] for name in ("step", "value", "min", "max", "points")}
        one["points"].append(shown | {"ts": in_milliseconds(row["at"])})
    return {"series": list(found.values()), "more": more}
