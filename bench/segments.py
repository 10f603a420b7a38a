"""All that the way of storing lines is held to, in one command, as figures and ratios of one run.

    python -m bench.segments [--only flood,reading] [--quick] [--render]

About twelve minutes; leave the machine alone. `--quick` takes small numbers, to see that it works. Figures
stay in `bench/results/segments.json`, and the table in `docs/performance.md` is written from them (`--render`
only does that). A part that is run alone leaves the others' figures as they are.
"""

import argparse
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench import compaction, segment_floods, segment_reads
from bench.machine import machine
from bench.server import server

RESULTS = Path(__file__).parent / "results/segments.json"
PAGE = Path(__file__).parents[1] / "docs/performance.md"
_TABLE = re.compile(
    r"(<!-- marks of segments -->\n).*?(<!-- end of marks of segments -->)", re.DOTALL
)

Figures = dict[str, float]


class Mark(NamedTuple):
    """A figure of a part, what it is called, its unit, and the bound that it is held to."""

    part: str
    figure: str
    title: str
    unit: str
    most: float | None = None
    least: float | None = None

    def is_met(self, value: float) -> bool:
        return (self.most is None or value <= self.most) and (
            self.least is None or value >= self.least
        )


MARKS = (
    Mark(
        "flood", "ratio", "file → committed → 5 browsers, by bare rows, one process", "x", least=1.8
    ),
    Mark("flood", "lines", "the same, lines a second", "/s"),
    Mark("flood", "server", "processor of it: the server", "µs a line", most=4.5),
    Mark("flood", "Postgres", "Postgres", "µs a line", most=1.5),
    Mark("flood", "Valkey", "Valkey", "µs a line", most=0.5),
    Mark("flood", "memory", "memory of the server at most", "MiB", most=200),
    Mark("flood", "disk", "disk, all indexes and TOAST", "bytes a line", most=45),
    Mark("flood", "log", "write-ahead log", "bytes a line", most=60),
    Mark("apart", "ratio", "the same with tailer and API as two processes", "x", least=2.3),
    Mark("projects", "ratio", "20 projects interleaved, by one", "x", least=0.8),
    Mark("behind", "seconds", "one line behind 200,000 of another project", "s", most=1.0),
    Mark("trickle", "merged", "disk, 50 runs that trickle, merged", "bytes a line", most=80),
    Mark("trickle", "further", "what a further line of them adds", "bytes"),
    Mark("redis", "ratio", "events in the same memory of Redis, by frames", "x", least=5),
    Mark("posts", "per_second", "lone POSTs of a line, by bare commits", "x"),
    Mark("posts", "other", "its p99 at 500/s beside bulk ingest of another project", "ms", most=20),
    Mark("posts", "own", "its p99 at 500/s beside bulk ingest of its own project", "ms", most=40),
    Mark("reading", "text", "whole log of 1 M lines as text", "lines/s", least=800_000),
    Mark("reading", "ndjson", "the same as NDJSON", "lines/s", least=500_000),
    Mark("reading", "search", "search of a rare text over 1 M lines", "s", most=1.0),
    Mark("reading", "first", "its first result", "ms", most=200),
    Mark("reading", "opening", "opening line 500,000 of 1 M", "ms", most=50),
    Mark("storm", "seconds", "10,000 clients resume 1,000 events", "s", most=10),
    Mark("files", "p99", "a line of a file beside another that floods, p99", "ms"),
)


def trickle(is_quick: bool) -> Figures:
    with server() as one:
        found = compaction.measure(one, 40_000 if is_quick else 200_000, 50)
    return {"merged": found["all lines"], "further": found["a further line"]}


PARTS: dict[str, Callable[[bool], Figures]] = {
    "flood": segment_floods.flood,
    "apart": segment_floods.apart,
    "projects": segment_floods.projects,
    "behind": segment_floods.behind,
    "trickle": trickle,
    "redis": segment_floods.redis,
    "posts": segment_reads.posts,
    "reading": segment_reads.reading,
    "storm": segment_reads.storm,
    "files": segment_reads.files,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--render", action="store_true")
    options = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not options.render:
        print(machine(), flush=True)
        for part in options.only.split(","):
            begin = time.monotonic()
            figures = PARTS[part](options.quick)
            shown = ", ".join(f"{name} {value:,.3g}" for name, value in figures.items())
            print(f"== {part}: {shown} ({time.monotonic() - begin:.0f} s)", flush=True)
            found[part] = {"machine": machine(), "at": time.strftime("%Y-%m-%d"), **figures}
            if not options.quick:
                RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    told = table(found)
    print(told)
    if not options.quick:
        PAGE.write_text(_TABLE.sub(lambda match: match[1] + told + match[2], PAGE.read_text()))


def table(found: dict[str, dict[str, float]]) -> str:
    """The marks with their figures, in Markdown."""
    rows = ["| | measured | mark | |", "| --- | ---: | ---: | --- |"]
    for mark in MARKS:
        value = found.get(mark.part, {}).get(mark.figure)
        bound = "" if mark.most is None else f"≤ {mark.most:g}"
        bound += "" if mark.least is None else f"≥ {mark.least:,g}"
        shown = "not measured" if value is None else f"{_rounded(value)} {mark.unit}"
        verdict = (
            "" if value is None or not bound else ("met" if mark.is_met(value) else "**not met**")
        )
        rows.append(f"| {mark.title} | {shown} | {bound} | {verdict} |")
    return "\n".join(rows) + "\n"


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
