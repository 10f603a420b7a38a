"""What a hub does when nothing happens: 10,000 open streams, their heartbeats, and the hub's own loops.

    python -m bench.idle [--connections 10000] [--projects 1] [--seconds 8]

A hub process by itself, on a core of its own. Its loops are taken away (their intervals are set to months,
in this benchmark alone), and the difference is what they cost: the probe through Redis and the comparison
of heads with Postgres, then all others (leases, registration, rights, completed runs, empty rooms).
"""

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Iterator

from bench.contenders.serving import free_port, scratch, serving
from bench.guard import thread_seconds
from bench.ingest import database_url
from bench.server import Server, load, machine, server

ROUNDS = 2
NEVER = 1e7
MARK_PERCENT = 1.0

_PROBE = f"node_link.PROBE_SECONDS = {NEVER}; node_link.ECHO_SECONDS = {NEVER}"
_COMPARE = f"hub.COMPARE_SECONDS = {NEVER}"
_OTHERS = (
    f"connection_limits.RENEW_SECONDS = peers.REGISTER_EVERY_SECONDS = revocation.LOOK_SECONDS = {NEVER}; "
    f"hub.COMPLETE_SECONDS = hub.LINGER_SECONDS = {NEVER}"
)
VARIANTS = {
    "as it is": "",
    "without both": f"{_PROBE}; {_COMPARE}",
    "without any loop": f"{_PROBE}; {_COMPARE}; {_OTHERS}",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--projects", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    print(machine())
    with server() as one:
        slugs = [f"p{number}" for number in range(options.projects)]
        with one.http() as http:
            for slug in slugs:
                http.post("/projects", json={"name": slug, "slug": slug}).raise_for_status()
        found: dict[str, list[float]] = {name: [] for name in VARIANTS}
        for _ in range(ROUNDS):
            for name, change in VARIANTS.items():
                share = busy(one, change, slugs, options.connections, options.seconds)
                found[name].append(share * 100)
    shown(found, options.connections, options.projects)


def shown(found: dict[str, list[float]], connections: int, projects: int) -> None:
    middle = {name: statistics.median(values) for name, values in found.items()}
    print(f"{connections:,} idle streams of {projects:,} projects, percent of a core:")
    for name, values in found.items():
        print(f"  {name:20} {middle[name]:6.2f}   ({', '.join(f'{each:.2f}' for each in values)})")
    cost = middle["as it is"] - middle["without both"]
    word = "met" if cost < MARK_PERCENT else "NOT MET"
    print(f"probe and head check: {cost:.2f} % of a core; mark < {MARK_PERCENT:.0f} %: {word}")


def busy(one: Server, change: str, slugs: list[str], connections: int, seconds: float) -> float:
    """The share of its core that a hub uses while this many streams are open."""
    with hub(one, change) as target, load(target, connections, paths(slugs)) as opened:
        time.sleep(2.0)
        begin, before = time.monotonic(), thread_seconds([target.pid])
        time.sleep(seconds)
        used = thread_seconds([target.pid]) - before
        assert opened.closed == 0
        return used / (time.monotonic() - begin)


def paths(slugs: list[str]) -> list[str]:
    return [f"/projects/{slug}/events" for slug in slugs]


class Hub:
    """A hub process, as the load client needs it."""

    def __init__(self, port: int, pid: int, token: str) -> None:
        self.port = port
        self.pid = pid
        self.token = token


@contextlib.contextmanager
def hub(one: Server, change: str) -> Iterator[Hub]:
    """A hub beside the server, on the same stores, with its constants changed."""
    port = free_port()
    program = (
        "from runcast_hub import connection_limits, hub, node_link, peers, pubsub, revocation\n"
        f"{change}\nimport sys\nsys.argv = ['runcast', 'hub', '--port', '{port}']\n"
        "from runcast.cli import main\nmain()"
    )
    environment = {
        "RUNCAST_DATABASE_URL": database_url(one),
        "RUNCAST_REDIS_URL": one.redis_url,
        "RUNCAST_SSE_MAX_CONNECTIONS_PER_USER": "0",
        "RUNCAST_SSE_MAX_CONNECTIONS_PER_KEY": "0",
    }
    with (
        scratch() as directory,
        serving(
            [sys.executable, "-c", program], port, directory=directory, environment=environment
        ) as pid,
    ):
        yield Hub(port, pid, one.token)


if __name__ == "__main__":
    main()
