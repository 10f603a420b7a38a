"""Resume storms: many clients come back at once, each having missed events.

    python -m bench.resume [--connections 10000] [--missed 1000] [--projects 1000]

First all clients resume after the same position of one project, then ten clients of each of many
projects. Printed is the time until the last client has every event that it missed.
"""

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor

from bench.server import Server, load, machine, server

LINE = "x" * 91
CLIENTS_PER_PROJECT = 10
# What a stream sends besides events: `connected` and the heartbeat that sets its position.
EXTRA_FRAMES = 2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--missed", type=int, default=1_000)
    parser.add_argument("--projects", type=int, default=1_000)
    options = parser.parse_args()
    print(machine())
    with server() as one:
        fill(one, ["storm"], options.missed)
        paths = ["/projects/storm/events?subscribe_logs=all&last_event_id=1"]
        seconds = storm(one, options.connections, paths, options.missed)
        print(
            f"same       {options.connections} clients, {options.missed} missed events: {seconds:.1f} s"
        )
    with server() as one:
        slugs = [f"p{number}" for number in range(options.projects)]
        fill(one, slugs, options.missed)
        paths = [f"/projects/{slug}/events?subscribe_logs=all&last_event_id=1" for slug in slugs]
        clients = len(slugs) * CLIENTS_PER_PROJECT
        seconds = storm(one, clients, paths, options.missed)
        print(f"different  {len(slugs)} projects x {CLIENTS_PER_PROJECT} clients: {seconds:.1f} s")


def fill(one: Server, slugs: list[str], lines: int) -> None:
    """Projects with a run and `lines` log lines each; event 1 is the run's creation."""
    with one.http() as http, ThreadPoolExecutor(8) as threads:

        def make(slug: str) -> None:
            http.post("/projects", json={"name": slug, "slug": slug}).raise_for_status()
            run = http.post(f"/projects/{slug}/runs", json={"status": "running"}).json()
            body = "\n".join([json.dumps({"message": LINE})] * lines)
            headers = {"Content-Type": "application/x-ndjson"}
            http.post(f"/runs/{run['id']}/logs", content=body, headers=headers).raise_for_status()

        list(threads.map(make, slugs))


def storm(one: Server, clients: int, paths: list[str], missed: int) -> float:
    """Seconds until so many clients, connecting as fast as they can, have all that they missed."""
    begin = time.monotonic()
    with load(one, clients, paths, settles=False) as receiving:
        receiving.until(frames=clients * (missed + EXTRA_FRAMES), seconds=180)
        return time.monotonic() - begin


if __name__ == "__main__":
    main()
