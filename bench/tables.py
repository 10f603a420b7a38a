"""Writes the tables of `docs/performance.md` from the figures: nothing there is copied by hand.

A table stands between `<!-- table: name -->` and `<!-- end of table -->`. A cell shows the median of the
repeats and, where they differ visibly, the least and the most of them.
"""

import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import figures as results
from bench import marks
from bench.contenders import CONTENDERS
from bench.figures import Results

PAGE = Path(__file__).parents[1] / "docs/performance.md"
VISIBLE = 0.05
"""A spread below this part of the median isn't shown."""

NOTHING = "-"

_TABLE = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


@dataclass(frozen=True)
class Column:
    """A column: which figure of which scenario, with how many digits after the point."""

    head: str
    scenario: str
    figure: str
    digits: int = 1
    scale: float = 1.0


COLUMNS: dict[str, tuple[Column, ...]] = {
    "sparse": (
        Column("500: µs", "sparse-500", "whole_us"),
        Column("of it delivery", "sparse-500", "delivery_us"),
        Column("5,000: µs", "sparse-5000", "whole_us"),
        Column("of it delivery", "sparse-5000", "delivery_us"),
        Column("10,000: µs", "sparse-10000", "whole_us"),
        Column("of it delivery", "sparse-10000", "delivery_us"),
    ),
    "latency": (
        Column("p50, ms", "sparse-500", "p50_ms", 2),
        Column("p99, ms", "sparse-500", "p99_ms", 2),
        Column("p99.9, ms", "sparse-500", "p999_ms", 2),
        Column("10,000 subscribers: p50, ms", "sparse-10000", "p50_ms", 0),
        Column("p99, ms", "sparse-10000", "p99_ms", 0),
    ),
    "burst": (
        Column("thousand deliveries/s", "burst", "per_second", 0, 1e-3),
        Column("CPU of each, µs", "burst", "whole_us", 2),
        Column("MB/s", "burst", "megabytes_per_second", 0),
        Column("server's core busy, %", "burst", "server_busy", 0, 100),
        Column("client's core busy, %", "burst", "client_busy", 0, 100),
    ),
    "idle": (
        Column("KiB of the process", "idle", "resident_kib"),
        Column("KiB of the kernel", "idle", "kernel_kib"),
        Column("connects/s", "idle", "connects_per_second", 0),
        Column("CPU with heartbeats, %", "idle", "idle_cpu_percent"),
    ),
    "many": (
        Column("1,000 x 10: µs", "channels", "whole_us"),
        Column("p99, ms", "channels", "p99_ms", 1),
        Column("one filter: µs", "filters", "one_us"),
        Column("500 filters: µs", "filters", "many_us"),
        Column("ratio", "filters", "ratio", 2),
    ),
    "large": (
        Column("sparse: µs", "large", "whole_us"),
        Column("burst: deliveries/s", "large", "burst_per_second", 0),
        Column("MB/s", "large", "burst_megabytes_per_second", 0),
        Column("client's core busy, %", "large", "burst_client_busy", 0, 100),
    ),
    "storm": (
        Column("seconds", "storm", "seconds"),
        Column("delivered, %", "storm", "percent", 0),
        Column("CPU of each event, µs", "storm", "whole_us", 2),
    ),
    "slow": (
        Column("alone, thousand/s", "slow", "alone_per_second", 0, 1e-3),
        Column("beside 100 stalled, thousand/s", "slow", "beside_per_second", 0, 1e-3),
        Column("stalled ones closed", "slow", "stalled_closed", 0),
    ),
}


def write(figures: Results) -> None:
    """Fills every table of the page again."""
    page = PAGE.read_text()
    PAGE.write_text(_TABLE.sub(lambda found: found[1] + table(found[2], figures) + found[3], page))


def table(name: str, figures: Results) -> str:
    """A table of the page, in Markdown."""
    special: dict[str, Callable[[Results], list[list[str]]]] = {
        "marks": _marks,
        "contenders": _contenders,
    }
    rows = special[name](figures) if name in special else _figures(COLUMNS[name], figures)
    head, *body = rows
    rule = ["---"] + ["---" if name in special else "---:"] * (len(head) - 1)
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rule, *body))


def _figures(columns: Sequence[Column], figures: Results) -> list[list[str]]:
    rows = [["", *(column.head for column in columns)]]
    for contender in CONTENDERS:
        cells = [_cell(column, figures, contender.name) for column in columns]
        if any(cell != NOTHING for cell in cells):
            rows.append([contender.title, *cells])
    return rows


def _cell(column: Column, figures: Results, contender: str) -> str:
    found = results.values(figures, contender, column.scenario, column.figure)
    if not found:
        return NOTHING
    shown = [f"{value * column.scale:,.{column.digits}f}" for value in (min(found), max(found))]
    middle = statistics.median(found)
    median = f"{middle * column.scale:,.{column.digits}f}"
    if shown[0] == shown[1] or max(found) - min(found) <= VISIBLE * middle:
        return median
    return f"{median} ({shown[0]}-{shown[1]})"


def _marks(figures: Results) -> list[list[str]]:
    words = {True: "met", False: "**not met**", None: "not judged"}
    rows = [["mark", "measured", ""]]
    rows += [[mark.text, mark.figures, words[mark.is_met]] for mark in marks.all_marks(figures)]
    return rows


def _contenders(figures: Results) -> list[list[str]]:
    rows = [["contender", "what ran"]]
    for contender in CONTENDERS:
        entry = figures.get(contender.name, {})
        ran = entry.get("versions") or f"not run: {entry.get('not_run', 'not asked for')}"
        rows.append([contender.title, ran])
    machines = {
        scenario["machine"]
        for entry in figures.values()
        for scenario in entry["scenarios"].values()
        if "machine" in scenario
    }
    return [*rows, ["the machine", "; ".join(sorted(machines))]]
