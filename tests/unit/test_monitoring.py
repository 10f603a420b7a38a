"""Alert rules and dashboard: they ask for metrics that exist, and each alert is tested and explained.

`make monitoring` also has Prometheus's own `promtool` fire each rule, where it is installed.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Gauge
from tests import registered

ROOT = Path(__file__).parents[2]
RULES = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())
RULE_TESTS = yaml.safe_load((ROOT / "deploy/prometheus/rules_test.yml").read_text())
DASHBOARD = json.loads((ROOT / "deploy/grafana/runcast.json").read_text())
OPERATIONS = (ROOT / "docs/operations.md").read_text()

ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]
}
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


METRICS = registered.metrics()


def series() -> set[str]:
    """The names under which they are scraped."""
    names = {"up"}
    for name, metric in METRICS.items():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        names |= {name + suffix for suffix in suffixes.get(metric._type, [""])}
    return names


SERIES = series()


def asked_for(expression: str) -> set[str]:
    return set(re.findall(r"\b(runcast_\w+|up)\b(?=[{\[) ]|$)", expression))


def expressions() -> Iterable[str]:
    yield from (rule["expr"] for rule in ALERTS.values())
    yield from (target["expr"] for panel in PANELS for target in panel["targets"])


def test_what_is_asked_for_exists() -> None:
    for expression in expressions():
        assert asked_for(expression), expression
        assert asked_for(expression) <= SERIES, expression


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_each_alert_is_tested_and_has_a_runbook(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("page", "warn")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
    section = OPERATIONS.partition(f"\n#### {name}\n")[2].partition("\n#### ")[0]
    assert len(section.split()) > 20, "what to look at, and what to do"
    fired = [
        test
        for one in RULE_TESTS["tests"]
        for test in one["alert_rule_test"]
        if test["alertname"] == name and test.get("exp_alerts")
    ]
    silent = [
        test for test in RULE_TESTS["tests"][-1]["alert_rule_test"] if test["alertname"] == name
    ]
    assert fired
    assert silent
    assert "exp_alerts" not in silent[0]


def test_panels_are_distinct_and_lie_beside_each_other() -> None:
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(places) == len(set(places))
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in PANELS)


def test_gauges_say_how_those_of_workers_are_added_up() -> None:
    for name, metric in METRICS.items():
        if isinstance(metric, Gauge):
            assert metric._multiprocess_mode.startswith("live"), name


def test_labels_are_few() -> None:
    allowed = {
        "method",
        "route",
        "status",
        "loop",
        "part",
        "pool",
        "state",
        "kind",
        "verdict",
        "source",
        "reason",
        "stream",
        "project",
        "version",
        "python",
    }
    for name, metric in METRICS.items():
        assert set(metric._labelnames) <= allowed, name
