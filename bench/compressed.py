"""What streams in gzip cost beside plain ones, in one run.

    python -m bench.compressed [--subscribers 500]

Subscribers of one project, none, plain, and in gzip, in turn; one more plain one says when an event has
arrived. Of each the cheapest round counts. Printed are ratios: processor time of the server for a delivery,
without what the same events cost where there are no subscribers, and bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.fanout import LINES_PER_MESSAGE, prepare
from bench.guard import thread_seconds
from bench.server import Load, Server, load, machine, server

EVENTS = 40
BURST_LINES = 4_000
ROUNDS = 4
PATH = "/projects/bench/events?subscribe_logs=all"
SETTLED_SECONDS = 0.3
WORDS = "reading the file", "calling the tool", "waiting for the model", "writing the answer"


@dataclass
class Cost:
    """The cheapest round so far: processor seconds, and bytes that arrived."""

    seconds: float = float("inf")
    bytes: int = 0


@dataclass
class Writer:
    """Writes lines such as agents write, and waits until a stream has them."""

    one: Server
    run_id: str
    watcher: Load
    sent: list[int] = field(default_factory=lambda: [0, 0])

    def trickle(self) -> int:
        """One line after the other."""
        with self.one.http() as http:
            for number in range(EVENTS):
                due = self.watcher.frames + 1
                body = {"message": line(number), "level": "info"}
                http.post(f"/runs/{self.run_id}/logs", json=body).raise_for_status()
                self.watcher.until(frames=due)
        return EVENTS

    def burst(self) -> int:
        """Many at once."""
        due = self.watcher.frames + BURST_LINES
        with self.one.redis() as redis:
            for first in range(0, BURST_LINES, LINES_PER_MESSAGE):
                lines = [line(first + number) for number in range(LINES_PER_MESSAGE)]
                message = {
                    "type": "lines",
                    "run_id": self.run_id,
                    "source": "burst",
                    "generation": 1,
                    "first_line": self.sent[0] + 1,
                    "first_offset": self.sent[1],
                    "lines": lines,
                }
                redis.xadd("runcast:ingest", {"m": json.dumps(message)})
                self.sent[0] += len(lines)
                self.sent[1] += sum(len(text) + 1 for text in lines)
        self.watcher.until(frames=due)
        return BURST_LINES


def line(number: int) -> str:
    return f"step {number * 7919 % 10007}: {WORDS[number % 4]} {number * 31 % 97} of 97, loss=0.{number:05}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subscribers", type=int, default=500)
    subscribers = parser.parse_args().subscribers
    print(machine())
    kinds = ("trickle", "burst")
    costs = {(name, kind): Cost() for name in ("none", "plain", "gzip") for kind in kinds}
    with server() as one:
        run_id = prepare(one)
        with load(one, 1, [PATH], interval_ms=2) as watcher:
            writer = Writer(one, run_id, watcher)
            for _ in range(ROUNDS):
                for name in ("none", "plain", "gzip"):
                    with streams(one, name, subscribers) as clients:
                        for kind in kinds:
                            take(costs[name, kind], one, clients, writer, kind)
    for kind in kinds:
        print(compared(kind, *(costs[name, kind] for name in ("none", "plain", "gzip"))))


@contextlib.contextmanager
def streams(one: Server, name: str, count: int) -> Iterator[Load | None]:
    """The subscribers of one kind."""
    if name == "none":
        yield None
        return
    with load(one, count, [PATH], gzip=name == "gzip") as clients:
        yield clients


def take(cost: Cost, one: Server, clients: Load | None, writer: Writer, kind: str) -> None:
    """Measures one round."""
    size, spent = clients.bytes if clients else 0, thread_seconds([one.pid])
    events = getattr(writer, kind)()
    time.sleep(SETTLED_SECONDS)
    cost.seconds = min(cost.seconds, (thread_seconds([one.pid]) - spent) / events)
    cost.bytes = clients.bytes - size if clients else 0


def compared(kind: str, none: Cost, plain: Cost, gzip: Cost) -> str:
    """One line of the answer."""
    seconds = (gzip.seconds - none.seconds) / (plain.seconds - none.seconds)
    return (
        f"{kind:8} {seconds:.2f} times the processor time of plain streams, "
        f"{gzip.bytes / plain.bytes:.3f} times the bytes"
    )


if __name__ == "__main__":
    main()
