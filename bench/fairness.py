"""What one busy neighbour costs everybody else: the p99 of a quiet project beside floods, over its p99 alone.

    python -m bench.fairness [--seconds 6] [--only key,link]

A quiet project's lines by POST, its lines over Redis until they come out of a stream, and its streams that
resume, each a few times a second: alone, and beside a flood of another project, of another run of the same
project, of another key, of a share link, and of streams that resume a long history. All in one run of one
server: only the ratios mean something. The mark is 2. Who floods gives way to the others on this machine's
processors, since it has its own elsewhere.
"""

import argparse
import contextlib
import http.client
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from bench.floods import LINE, give_way
from bench.latency import bulk, new_run, request
from bench.server import Server, compiled, load, machine, server

MARK = 2.0
PER_SECOND = 40
RESUMES_PER_SECOND = 30
SWITCH_SECONDS = 0.0002
"""How soon one measuring thread lets another go on: what they wait for each other counts as delay."""
FLOODING_CLIENTS = 32
LONG_LINES = 200_000
RESUMING_STREAMS = 100
RESUMED_EVENTS = 50

Samples = dict[str, list[float]]
Flood = Callable[[], AbstractContextManager[object]]


@dataclass
class Quiet:
    """The project that does little, and how long each thing takes it."""

    one: Server
    project_id: UUID
    run_id: UUID

    def measure(self, seconds: float) -> Samples:
        """Milliseconds of each time, by what was done."""
        taken: Samples = {"POST a line": [], "Redis to stream": [], "resume a stream": []}
        sys.setswitchinterval(SWITCH_SECONDS)
        works = (self._post, self._ingest, self._resume)
        until = time.monotonic() + seconds
        threads = [
            threading.Thread(target=work, args=(until, each))
            for work, each in zip(works, taken.values(), strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return taken

    def _post(self, until: float, taken: list[float]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.one.port, timeout=60)
        headers = {"Authorization": f"Bearer {self.one.token}", "Content-Type": "application/json"}
        body = json.dumps({"message": LINE})
        for begin in paced(until, PER_SECOND):
            connection.request("POST", f"/runs/{self.run_id}/logs", body, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 201, answer.status
            taken.append((time.monotonic() - begin) * 1e3)

    def _ingest(self, until: float, taken: list[float]) -> None:
        stream = self._stream("Last-Event-ID: 999999999\r\n", logs=True)
        mark = f"mark-{time.monotonic_ns()}-"
        with stream, self.one.redis() as redis:
            read_until(stream, b"event: connected")
            for number, begin in enumerate(paced(until, PER_SECOND)):
                data = {"message": f"{mark}{number}."}
                message = {"type": "agent:log", "run_id": str(self.run_id), "data": data}
                redis.xadd("runcast:ingest", {"m": json.dumps(message)})
                read_until(stream, f"{mark}{number}.".encode())
                taken.append((time.monotonic() - begin) * 1e3)

    def _resume(self, until: float, taken: list[float]) -> None:
        for begin in paced(until, RESUMES_PER_SECOND):
            with self._stream("Last-Event-ID: 1\r\n", logs=True) as stream:
                read_until(stream, f"id: {RESUMED_EVENTS}\n".encode())
            taken.append((time.monotonic() - begin) * 1e3)

    def _stream(self, header: str, *, logs: bool) -> socket.socket:
        stream = socket.create_connection(("127.0.0.1", self.one.port), 60)
        wanted = "?subscribe_logs=all" if logs else ""
        stream.sendall(
            f"GET /projects/{self.project_id}/events{wanted} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {self.one.token}\r\n{header}\r\n".encode()
        )
        return stream


def read_until(stream: socket.socket, wanted: bytes) -> None:
    """Reads on until this has come."""
    kept = b""
    while wanted not in kept:
        more = stream.recv(1 << 18)
        assert more, kept[-300:]
        kept = kept[-len(wanted) :] + more


def paced(until: float, per_second: float) -> Iterator[float]:
    """Moments at this pace, each given when it has come; one that is late is followed at once."""
    due = time.monotonic()
    while due < until:
        time.sleep(max(0.0, due - time.monotonic()))
        yield time.monotonic()
        due = max(due + 1 / per_second, time.monotonic())


@contextlib.contextmanager
def clients(
    one: Server, request: bytes, number: int = FLOODING_CLIENTS, *, reconnects: bool = False
) -> Iterator[None]:
    """Clients that send the same request again as soon as it is answered, whatever the answer; they end
    with a connection that the server closes, unless they reconnect."""
    command = [compiled(Path(__file__).with_name("poster.c")), "127.0.0.1", str(one.port)]
    flood = subprocess.Popen(
        [*command, str(number), "0", "3600", *(["again"] if reconnects else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=give_way,
    )
    assert flood.stdin is not None
    flood.stdin.write(request)
    flood.stdin.close()
    try:
        yield
    finally:
        flood.kill()
        flood.wait()


@contextlib.contextmanager
def resuming(one: Server, project_id: UUID, run_id: UUID) -> Iterator[None]:
    """Streams that read a long history from its beginning, again and again, each by a filter of its own."""
    stop = threading.Event()
    path = f"/projects/{project_id}/events?last_event_id=1&subscribe_logs={run_id}"
    paths = [f"{path},{UUID(int=number)}" for number in range(1, RESUMING_STREAMS + 1)]

    def flood() -> None:
        while not stop.is_set():
            with load(one, RESUMING_STREAMS, paths, settles=False, gives_way=True):
                stop.wait(3.0)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def floods(one: Server, mine: UUID) -> dict[str, Flood]:
    """Each kind of flood, by its name."""
    _, other = new_run(one, "other")
    long_project, long = new_run(one, "long")
    lengthen(one, long)
    with one.http() as made:
        key = made.post("/projects/other/keys", json={"name": "k", "role": "reporter"})
        link = made.post("/projects/long/share-links", json={})
    busy = replace(one, token=key.raise_for_status().json()["token"])
    shared = replace(one, token=link.raise_for_status().json()["token"])
    line = json.dumps({"message": LINE}).encode()
    reads = f"GET /runs/{long}/logs?tail=1000 HTTP/1.1\r\nHost: localhost\r\n"
    reads += f"Authorization: Bearer {shared.token}\r\n\r\n"
    return {
        "project": lambda: bulk(one, other),
        "run": lambda: bulk(one, mine),
        "key": lambda: clients(busy, request(busy, f"/runs/{other}/logs", line)),
        "link": lambda: clients(shared, reads.encode()),
        "resumes": lambda: resuming(one, long_project, long),
    }


def lengthen(one: Server, run_id: UUID) -> None:
    """Gives a run a long log."""
    body = (json.dumps({"message": LINE}) + "\n").encode() * 10_000
    with one.http() as made:
        for _ in range(LONG_LINES // 10_000):
            headers = {"Content-Type": "application/x-ndjson"}
            made.post(
                f"/runs/{run_id}/logs", content=body, headers=headers, timeout=120
            ).raise_for_status()


def p99(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=100)[98] if len(taken) > 1 else float("inf")


def shown(name: str, found: Samples, alone: Samples) -> Iterator[str]:
    for what, taken in found.items():
        ratio = p99(taken) / p99(alone[what])
        verdict = "met" if ratio <= MARK else "NOT MET"
        yield (
            f"{what:16} beside a flood of one {name:8}: p50 {statistics.median(taken):7.1f} ms, "
            f"p99 {p99(taken):7.1f} ms, {ratio:5.1f} x alone: {verdict}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--only", default="", help="some floods, comma-separated")
    options = parser.parse_args()
    print(machine())
    with server(RUNCAST_REQUESTS_PER_MINUTE="0") as one:
        project_id, run_id = new_run(one, "quiet")
        _, beside = new_run(one, "quiet")
        quiet = Quiet(one, project_id, run_id)
        with one.http() as made:
            entries = [{"message": LINE}] * 2 * RESUMED_EVENTS
            made.post(f"/runs/{run_id}/logs", json=entries).raise_for_status()
        kinds = floods(one, beside)
        quiet.measure(2.0)
        for name in options.only.split(",") if options.only else kinds:
            alone = quiet.measure(options.seconds)
            with kinds[name]():
                time.sleep(1.0)
                found = quiet.measure(options.seconds)
            for line in shown(name, found, alone):
                print(line, flush=True)


if __name__ == "__main__":
    main()
