"""The cost of growth: what gets dearer when there is more of it.

    python -m bench.growth [--curve connections,projects,events] [--events 10000000] [--render]

Connections: processor time for each delivery of a single line, and memory for each stream. Projects:
processor time for each event with its ten deliveries, spread over ever more projects. Events: how long a
client takes to resume, Postgres alone having what it missed; the first pages of history and log; a POST,
all on one project whose log grows, spread over eight days. Each curve is a plot in `docs/images`, its
figures stay in `bench/results/growth.json`; `--render` only draws them.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from bench.floods import LINE
from bench.guard import thread_seconds
from bench.ingest import database_url
from bench.latency import new_run
from bench.plots import Curve, plot
from bench.seed_data import Filled, lengthen
from bench.server import Server, load, machine, server

RESULTS = Path(__file__).parent / "results/growth.json"
IMAGES = Path(__file__).parents[1] / "docs/images"
CONNECTIONS = (100, 1_000, 10_000)
"""With fewer, taking the event in is nearly all that is measured."""
PROJECTS = (1, 10, 100, 1_000)
EVENTS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
EACH = 10
POSTS = 300
REPEATS = 15
DAYS = 8
MISSED = 1_000

Figures = dict[str, Curve]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--curve", default="connections,projects,events")
    parser.add_argument("--events", type=int, default=EVENTS[-1])
    parser.add_argument("--render", action="store_true")
    options = parser.parse_args()
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not options.render:
        found["machine"] = machine()
        for curve in options.curve.split(","):
            if curve == "connections":
                found[curve] = connections()
            elif curve == "projects":
                found[curve] = projects()
            else:
                found[curve] = events(options.events)
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    render(found)


def render(found: dict[str, Any]) -> None:
    """Writes the plots, and prints the figures."""
    for name, title, across, unit, keys in (
        ("connections", "Processor time of a delivery", "open streams", "µs", ["a delivery"]),
        ("memory", "Memory of the process for a stream", "open streams", "KiB", ["a stream"]),
        ("projects", "Processor time of an event", "projects", "µs", ["with its ten deliveries"]),
        ("events", "Reads and writes beside a growing log", "stored events", "ms", None),
    ):
        figures = found.get("connections" if name == "memory" else name, {})
        chosen = {key: figures[key] for key in keys or figures if key in figures}
        if chosen:
            plot(IMAGES / f"growth-{name}.svg", title, across, unit, chosen)
        for key, curve in chosen.items():
            print(f"{name:12} {key:34} " + "  ".join(f"{x:,}: {y:.4g} {unit}" for x, y in curve))


# ---------------------------------------------------------------------- connections, projects


def connections() -> Figures:
    """A delivery, and a stream's memory, with ever more streams of one project."""
    delivery: list[tuple[float, float]] = []
    memory: list[tuple[float, float]] = []
    with server(RUNCAST_REQUESTS_PER_MINUTE="0") as one, one.http() as http:
        run = new_run(one, "bench")[1]
        path = ["/projects/bench/events?subscribe_logs=all"]
        with load(one, 1, path):
            spent_posting(one, http, run, 50)
        resident = one.resident_bytes()
        alone = min(spent_posting(one, http, run, 50) for _ in range(3))
        for number in CONNECTIONS:
            with load(one, number, path) as opened:
                memory.append((number, (one.resident_bytes() - resident) / number / 1024))
                posted = max(10, min(100, 40_000 // number))
                before = opened.frames
                spent = spent_posting(one, http, run, posted)
                opened.until(frames=before + posted * number)
                delivery.append((number, max(0.0, spent - alone) / number * 1e6))
            time.sleep(1.0)
    return {"a delivery": delivery, "a stream": memory}


def spent_posting(one: Server, http: httpx.Client, run: Any, number: int) -> float:
    """The server's processor seconds for each of this many lines, at twenty a second at most."""
    before, begin = thread_seconds([one.pid]), time.monotonic()
    for place in range(number):
        time.sleep(max(0.0, begin + place / 20 - time.monotonic()))
        http.post(f"/runs/{run}/logs", json={"message": LINE}).raise_for_status()
    time.sleep(0.3)
    return (thread_seconds([one.pid]) - before) / number


def projects() -> Figures:
    """Events in turn to ever more projects, each with ten streams."""
    costs: list[tuple[float, float]] = []
    with server(RUNCAST_REQUESTS_PER_MINUTE="0") as one, one.http() as http:
        runs: list[Any] = []
        for number in PROJECTS:
            runs += [new_run(one, f"p{place}")[1] for place in range(len(runs), number)]
            paths = [f"/projects/p{place}/events?subscribe_logs=all" for place in range(number)]
            with load(one, number * EACH, paths) as opened:
                before, frames = thread_seconds([one.pid]), opened.frames
                begin = time.monotonic()
                for place in range(POSTS):
                    time.sleep(max(0.0, begin + place / 100 - time.monotonic()))
                    line = {"message": LINE}
                    http.post(f"/runs/{runs[place % number]}/logs", json=line).raise_for_status()
                opened.until(frames=frames + POSTS * EACH)
                costs.append((number, (thread_seconds([one.pid]) - before) / POSTS * 1e6))
    return {"with its ten deliveries": costs}


# ---------------------------------------------------------------------- stored events


def events(most: int) -> Figures:
    """Reads and writes on a project whose one log grows, with a run beside it that says little."""
    figures: dict[str, list[tuple[float, float]]] = {}
    with server(RUNCAST_REQUESTS_PER_MINUTE="0") as one, one.http() as http:
        quiet, long = new_run(one, "bench"), new_run(one, "bench")
        filled = Filled(*long, 0)
        url = database_url(one)
        for number in [each for each in EVENTS if each <= most]:
            begin = time.monotonic()
            filled = asyncio.run(lengthen(url, filled, number - filled.lines, DAYS))
            with one.redis() as redis:
                redis.flushall()
            for name, work in works(one, http, quiet[1], long[1]).items():
                figures.setdefault(name, []).append((number, milliseconds(work)))
            print(f"{number:,} events in {time.monotonic() - begin:.0f} s", flush=True)
    return dict(figures)


def works(one: Server, http: httpx.Client, quiet: Any, long: Any) -> dict[str, Callable[[], None]]:
    def get(path: str, **params: Any) -> Callable[[], None]:
        def answered() -> None:
            http.get(path, params=params, timeout=60).raise_for_status()

        return answered

    def resume() -> None:
        head = int(http.get("/projects/bench").headers["runcast-head"])
        streamed(http, "/projects/bench/events?subscribe_logs=all", head - MISSED, MISSED)

    def post() -> None:
        http.post(f"/runs/{quiet}/logs", json={"message": LINE}).raise_for_status()

    return {
        "resume after 1,000": resume,
        "history, first page": get("/projects/bench/events/history", limit=100),
        "history of a run": get("/projects/bench/events/history", limit=100, run_id=str(quiet)),
        "log, last page": get(f"/runs/{long}/logs", tail=100),
        "POST a line": post,
    }


def streamed(http: httpx.Client, path: str, after: int, number: int) -> None:
    """Reads a stream until this many events have come."""
    headers = {"Last-Event-ID": str(after)}
    with http.stream("GET", path, headers=headers, timeout=60) as stream:
        received = bytearray()
        for chunk in stream.iter_bytes():
            received += chunk
            if received.count(b"event: agent:log\n") >= number:
                return


def milliseconds(work: Callable[[], None]) -> float:
    """The median of some, after one that warms up."""
    work()
    taken = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
