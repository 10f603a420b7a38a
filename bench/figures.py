"""The figures of all runs so far, in one JSON file: by contender, then by scenario.

{"contenders": {name: {"title", "versions" | "not_run", "scenarios": {name: {"machine", "at",
"figures": {figure: [value of each repeat]}} | {"cannot": reason}}}}}
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.contenders.contender import Contender
from bench.machine import machine

FILE = Path(__file__).with_name("results") / "figures.json"

Results = dict[str, Any]


def read() -> Results:
    """All that was measured so far, by contender."""
    if not FILE.exists():
        return {}
    found: Results = json.loads(FILE.read_text())["contenders"]
    return found


def _keep(figures: Results) -> None:
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps({"contenders": figures}, indent=1) + "\n")


def add(
    contender: Contender, versions: str, scenario: str, found: Mapping[str, list[float]]
) -> None:
    """Keeps what was measured in place of what an earlier run found."""
    rounded = {name: [float(f"{value:.5g}") for value in values] for name, values in found.items()}
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    _scenario(contender, versions, scenario, {"machine": machine(), "at": at, "figures": rounded})


def cannot(contender: Contender, versions: str, scenario: str, reason: str) -> None:
    """Notes that there is no such figure for this contender, and why."""
    _scenario(contender, versions, scenario, {"cannot": reason})


def _scenario(contender: Contender, versions: str, scenario: str, entry: Results) -> None:
    figures = read()
    kept = figures.get(contender.name, {}).get("scenarios", {})
    kept[scenario] = entry
    figures[contender.name] = {"title": contender.title, "versions": versions, "scenarios": kept}
    _keep(figures)


def not_run(contender: Contender, reason: str) -> None:
    """Notes that this contender could not be had; what an earlier run measured of it is dropped."""
    figures = read()
    figures[contender.name] = {"title": contender.title, "not_run": reason, "scenarios": {}}
    _keep(figures)


def values(figures: Results, contender: str, scenario: str, figure: str) -> list[float]:
    """The repeats of a figure; none if there is no such figure."""
    entry = figures.get(contender, {}).get("scenarios", {}).get(scenario, {})
    found: list[float] = entry.get("figures", {}).get(figure, [])
    return found


def median(figures: Results, contender: str, scenario: str, figure: str) -> float | None:
    found = values(figures, contender, scenario, figure)
    return statistics.median(found) if found else None


def line(found: Mapping[str, Sequence[float]]) -> str:
    """The medians of a scenario, for people who watch."""
    return "  ".join(f"{name} {statistics.median(each):.4g}" for name, each in found.items())
