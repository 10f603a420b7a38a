"""Resume storms: many clients come back at once, each having missed events.

    python -m bench.resume [--connections 10000] [--missed 1000] [--projects 1000] [--cold]

First all clients resume after the same position of one project, then ten clients of each of many
projects. Printed is the time until the last client has every event that it missed, and whose processor
time it took: the server's on its own core, that of Postgres, Valkey and the client on the other.
With `--cold` Redis has been emptied before, so that everything comes from Postgres.
"""

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor

from bench.machine import children, cpu_seconds
from bench.server import Server, load, machine, server

LINE = "x" * 91
CLIENTS_PER_PROJECT = 10
# What a stream sends besides events: `connected` and the heartbeat that sets its position.
EXTRA_FRAMES = 2
SAME_MARK_SECONDS = 10
DIFFERENT_MARK_SECONDS = 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--missed", type=int, default=1_000)
    parser.add_argument("--projects", type=int, default=1_000)
    parser.add_argument("--cold", action="store_true")
    options = parser.parse_args()
    print(machine())
    for projects, connections, mark in (
        (1, options.connections, SAME_MARK_SECONDS),
        (options.projects, options.projects * CLIENTS_PER_PROJECT, DIFFERENT_MARK_SECONDS),
    ):
        with server(RUNCAST_REQUESTS_PER_MINUTE="0") as one:
            slugs = [f"p{number}" for number in range(projects)]
            fill(one, slugs, options.missed)
            if options.cold:
                with one.redis() as redis:
                    redis.flushall()
            paths = [
                f"/projects/{slug}/events?subscribe_logs=all&last_event_id=1" for slug in slugs
            ]
            seconds, spent = storm(one, connections, paths, options.missed)
        print(
            f"{projects:5,} projects, {connections:,} clients, {options.missed:,} missed events each: "
            f"{seconds:.1f} s ({spent}); mark {mark} s: {'met' if seconds <= mark else 'NOT MET'}",
            flush=True,
        )


def fill(one: Server, slugs: list[str], lines: int) -> None:
    """Projects with a run and `lines` log lines each; events 1 and 2 are their creation."""
    with one.http() as http, ThreadPoolExecutor(8) as threads:

        def make(slug: str) -> None:
            http.post("/projects", json={"name": slug, "slug": slug}).raise_for_status()
            run = http.post(f"/projects/{slug}/runs", json={"status": "running"}).json()
            body = "\n".join([json.dumps({"message": LINE})] * lines)
            headers = {"Content-Type": "application/x-ndjson"}
            http.post(f"/runs/{run['id']}/logs", content=body, headers=headers).raise_for_status()

        list(threads.map(make, slugs))


def storm(one: Server, clients: int, paths: list[str], missed: int) -> tuple[float, str]:
    """Seconds until this many clients, connecting as fast as they can, have all that they missed, and
    whose processor time they took."""
    server_before, stores_before = one.cpu_seconds(), stores_cpu_seconds(one)
    begin = time.monotonic()
    with load(one, clients, paths, settles=False) as receiving:
        receiving.until(frames=clients * (missed + EXTRA_FRAMES), seconds=180)
        seconds = time.monotonic() - begin
        spent = (
            f"server {one.cpu_seconds() - server_before:.1f} s, "
            f"stores {stores_cpu_seconds(one) - stores_before:.1f} s, "
            f"client {cpu_seconds([receiving.process.pid]):.1f} s"
        )
    return seconds, spent


def stores_cpu_seconds(one: Server) -> float:
    """Processor time of Valkey and of Postgres with its sessions."""
    return cpu_seconds([pid for store in one.stores for pid in (store, *children(store))])


if __name__ == "__main__":
    main()
