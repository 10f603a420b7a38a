"""What a lone POST of a line costs its server, beside the least that could take it in.

    python -m bench.lone [--seconds 3] [--strace]

The other side is one FastAPI endpoint with one insert and one publish, on Postgres and Valkey of the same
kind. Both are asked 20 times a second, and then one request after the other; of each the cheapest round
counts. Printed is processor time of the server's own process, and how often it went to sleep: what is spent
without any request is shown apart. `--strace` counts system calls, which slows everything else down.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.contenders.publishers import HttpPublisher, post
from bench.contenders.serving import free_port, scratch, serving
from bench.fanout import prepare
from bench.guard import thread_seconds
from bench.machine import SERVER_CPU, processor
from bench.server import machine, server

from runcast._support.ids import uuid7
from runcast_server.embedded import Postgres, Valkey

PER_SECOND = 20
AT_ONCE = 400
ROUNDS = 3
LINE = "x" * 91
STOP_SECONDS = 5.0


@dataclass
class Side:
    """A server that takes lines in."""

    name: str
    pid: int
    publisher: HttpPublisher
    stores: list[int]
    found: dict[str, float] = field(default_factory=dict)

    def note(self, name: str, value: float) -> None:
        self.found[name] = min(value, self.found.get(name, float("inf")))

    def measure(self, seconds: float) -> None:
        """One round: nothing, some requests, many."""
        with counted(self) as idle:
            time.sleep(seconds)
        with counted(self) as paced:
            begin, count = time.monotonic(), int(seconds * PER_SECOND)
            for number in range(count):
                time.sleep(max(0.0, begin + number / PER_SECOND - time.monotonic()))
                self.publisher.publish(0, LINE)
        with counted(self) as rapid:
            for _ in range(AT_ONCE):
                self.publisher.publish(0, LINE)
        self.note("idle, ms of CPU a second", idle.cpu / seconds * 1e3)
        self.note("idle, wake-ups a second", idle.sleeps / seconds)
        self.note("idle stores, ms of CPU a second", idle.stores / seconds * 1e3)
        self.note("idle stores, wake-ups a second", idle.stores_sleeps / seconds)
        self.note("20/s, us of CPU a request", paced.cpu / count * 1e6)
        self.note("20/s without idling, us", (paced.cpu - idle.cpu) / count * 1e6)
        self.note("20/s, wake-ups a request", (paced.sleeps - idle.sleeps) / count)
        self.note(
            "20/s, us of the stores' CPU a request", (paced.stores - idle.stores) / count * 1e6
        )
        self.note("in a row, us of CPU a request", rapid.cpu / AT_ONCE * 1e6)
        self.note("in a row, wake-ups a request", rapid.sleeps / AT_ONCE)


@dataclass
class Counted:
    cpu: float = 0.0
    sleeps: float = 0.0
    stores: float = 0.0
    stores_sleeps: float = 0.0


@contextlib.contextmanager
def counted(side: Side) -> Iterator[Counted]:
    """What the block costs the server and its stores."""
    stores = [*side.stores, *children(side.stores)]
    found = Counted()
    before = thread_seconds([side.pid]), sleeps([side.pid]), thread_seconds(stores), sleeps(stores)
    yield found
    found.cpu = thread_seconds([side.pid]) - before[0]
    found.sleeps = sleeps([side.pid]) - before[1]
    found.stores = thread_seconds(stores) - before[2]
    found.stores_sleeps = sleeps(stores) - before[3]


def sleeps(pids: list[int]) -> int:
    """How often threads of these processes went to sleep of their own accord."""
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    said = (task / "status").read_text()
                    match = re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", said)
                    total += int(match[1]) if match else 0
    return total


def children(pids: list[int]) -> list[int]:
    """The processes that these started, and theirs."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent in pids and int(entry.name) not in pids:
                    found.append(int(entry.name))
    return found


@contextlib.contextmanager
def ours() -> Iterator[Side]:
    with server() as one:
        run_id = prepare(one)
        head = ("Content-Type: application/json", f"Authorization: Bearer {one.token}")
        yield Side("runcast", one.pid, publisher(one.port, run_id, *head), one.stores)


@contextlib.contextmanager
def least() -> Iterator[Side]:
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(scratch())
        stores = directory / "stores"
        stores.mkdir()
        postgres, valkey = Postgres(stores), Valkey(stores)
        for store in (postgres, valkey):
            store.start()
            stack.callback(store.stop, STOP_SECONDS)
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "bench.contenders.minimal.server:app"]
        command += [
            "--port",
            str(port),
            "--no-access-log",
            "--loop",
            "uvloop",
            "--timeout-keep-alive",
            "600",
        ]
        environment = {
            "DATABASE_URL": postgres.url.replace("/runcast?", "/postgres?"),
            "REDIS_URL": valkey.url,
            "PYTHONPATH": os.pathsep.join(["", os.getcwd()]),
        }
        pid = stack.enter_context(
            serving(command, port, directory=directory, environment=environment)
        )
        yield Side(
            "minimal", pid, publisher(port, str(uuid7()), "Content-Type: application/json"), []
        )


def publisher(port: int, run_id: str, *head: str) -> HttpPublisher:
    def render(_: int, payload: str) -> bytes:
        body = json.dumps({"message": payload}).encode()
        return post(port, f"/runs/{run_id}/logs", body, *head)

    return HttpPublisher(port, render)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--strace", action="store_true")
    options = parser.parse_args()
    print(machine())
    with ours() as one, least() as other:
        os.sched_setaffinity(other.pid, processor(SERVER_CPU))
        for side in (one, other):
            for _ in range(200):
                side.publisher.publish(0, LINE)
        if options.strace:
            for side in (one, other):
                print(system_calls(side))
            return
        for _ in range(ROUNDS):
            for side in (one, other):
                side.measure(options.seconds)
    for name, value in one.found.items():
        beside = other.found[name]
        ratio = f"{value / beside:6.2f}" if beside > 0 else "     -"
        print(f"{name:40} {value:9.2f} {beside:9.2f} {ratio}")


def system_calls(side: Side) -> str:
    """The calls of a hundred requests, by strace."""
    with tempfile.NamedTemporaryFile("r") as output:
        command = ["strace", "-f", "-c", "-o", output.name, "-p", str(side.pid)]
        tracing = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(1.0)
        for _ in range(100):
            side.publisher.publish(0, LINE)
        tracing.send_signal(signal.SIGINT)
        tracing.wait(10)
        return f"{side.name}\n{output.read()}"


if __name__ == "__main__":
    main()
