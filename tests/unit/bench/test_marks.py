"""The benchmark's marks and tables: what is measured decides, and what is missing is said."""

import re

from bench import marks, tables
from bench.figures import Results


def measured(**burst: float) -> Results:
    return {
        name.replace("_", "-"): {
            "title": name,
            "versions": "1",
            "scenarios": {"burst": {"figures": {"per_second": [value / 2, value, value * 9]}}},
        }
        for name, value in burst.items()
    }


def burst_mark(figures: Results) -> marks.Mark:
    return next(mark for mark in marks.all_marks(figures) if mark.text.startswith("burst"))


def test_a_mark_compares_medians_with_the_best_peer() -> None:
    assert burst_mark(measured(runcast=500.0, nchan=99.0, node=50.0)).is_met is True
    assert burst_mark(measured(runcast=500.0, nchan=50.0, node=101.0)).is_met is False


def test_the_c_loop_is_no_peer() -> None:
    assert burst_mark(measured(runcast=500.0, nchan=50.0, loop=400.0)).is_met is True


def test_without_nchan_no_mark_against_peers_is_judged() -> None:
    assert burst_mark(measured(runcast=500.0, node=1.0)).is_met is None


def test_a_peer_that_did_not_run_is_named_with_its_reason() -> None:
    figures = measured(runcast=500.0, nchan=1.0)
    figures["centrifugo"] = {"title": "Centrifugo", "not_run": "no go", "scenarios": {}}
    assert marks.absent(figures)["centrifugo"] == "no go"
    assert "no go" in marks.text(figures)


def test_a_table_shows_the_median_and_the_spread() -> None:
    lines = tables.table("burst", measured(runcast=2_000_000.0)).splitlines()
    assert re.match(r"\| Runcast \| 2,000 \(1,000-18,000\) \|", lines[2])
