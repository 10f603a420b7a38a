"""What the doors are held to: telemetry in, a long log for an agent, webhooks out.

    python -m bench.doors [--lines 1000000] [--seconds 5]

Telemetry: log records in batches of 500 as protocol buffers, per second of the server's own processor. A log:
the tool `log` through the official client, on a run of `--lines` lines, from its end and from its middle; the
slowest of these by its median. A webhook: from the event's time to its arrival at a receiver on this machine,
the median. Ends with 1 where a mark is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median
from typing import Any, NamedTuple, cast

import httpx
import orjson
from bench.server import Server, machine, server
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

RECORDS_PER_SECOND = 20_000
LOG_MS = 100
WEBHOOK_MS = 300
BATCH = 500
BLOCK = 1_000
EVENTS = 40
CALLS = 15
PAUSE_SECONDS = 0.1


def batches(seconds: float) -> list[bytes]:
    """As many as are needed for this long: each record is another one."""
    made = []
    for number in range(int(seconds * RECORDS_PER_SECOND * 2 / BATCH)):
        request = ExportLogsServiceRequest()
        resource = request.resource_logs.add()
        resource.resource.attributes.add(key="service.name").value.string_value = "bench"
        scope = resource.scope_logs.add()
        for place in range(BATCH):
            record = scope.log_records.add(
                time_unix_nano=time.time_ns() + number * BATCH + place, severity_number=9
            )
            record.body.string_value = f"step {place} of the work takes {number} ms and is well"
            record.attributes.add(key="step").value.int_value = place
        made.append(request.SerializeToString())
    return made


def telemetry(started: Server, seconds: float) -> float:
    """Records per second of the server's processor."""
    given = batches(seconds)
    sent, end, before = 0, time.monotonic() + seconds, started.cpu_seconds()
    with started.http() as http:
        for body in given:
            answer = http.post(
                "/v1/logs?project=bench",
                content=body,
                headers={"Content-Type": "application/x-protobuf"},
            )
            answer.raise_for_status()
            sent += BATCH
            if time.monotonic() > end:
                break
    return sent / (started.cpu_seconds() - before)


class Called(NamedTuple):
    """Milliseconds of a call: on the clock, the median of some; of the server's processor, on average."""

    took: float
    spent: float


def long_log(started: Server, lines: int) -> dict[str, Called]:
    """What `log` takes, by where it looks."""
    with started.http() as http:
        run = http.post("/projects/bench/runs", json={"status": "running"}).json()["id"]
        for first in range(0, lines, BLOCK):
            texts = [f"line {first + number} of the work, all is well" for number in range(BLOCK)]
            block = b"".join(orjson.dumps({"message": text}) + b"\n" for text in texts)
            kind = {"Content-Type": "application/x-ndjson"}
            answer = http.post(f"/runs/{run}/logs", content=block, headers=kind, timeout=60)
            answer.raise_for_status()
        key = http.post("/projects/bench/keys", json={"name": "agent", "role": "reporter"}).json()
    middle = lines // 2
    places: dict[str, dict[str, int | str]] = {
        "the end": {},
        "after the middle": {"after": middle},
        "before the middle": {"before": middle},
        "a level that no line has": {"level": "error"},
    }

    async def call() -> dict[str, Called]:
        headers = {"Authorization": f"Bearer {key['token']}"}
        found = {}
        async with httpx.AsyncClient(headers=headers, timeout=70) as http:
            # The library's type is that of a fork of this client.
            transport = streamable_http_client(f"{started.url}/mcp", http_client=cast("Any", http))
            async with Client(transport) as agent:
                for name, where in places.items():
                    times, before = [], started.cpu_seconds()
                    for _ in range(CALLS):
                        began = time.perf_counter()
                        result = await agent.call_tool("log", {"run": run, "tail": 50} | where)
                        assert not result.is_error, result.content
                        times.append((time.perf_counter() - began) * 1000)
                    spent = (started.cpu_seconds() - before) / CALLS * 1000
                    found[name] = Called(median(times), spent)
        return found

    return asyncio.run(call())


@contextmanager
def receiver(delays: list[float]) -> Iterator[str]:
    """Notes how long ago what it gets happened, in milliseconds."""

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            now = time.time()
            told = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
            at = datetime.fromisoformat(told["timestamp"].replace("Z", "+00:00")).timestamp()
            delays.append((now - at) * 1000)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    taker = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    threading.Thread(target=taker.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{taker.server_port}/"
    finally:
        taker.shutdown()
        taker.server_close()


def webhook(started: Server) -> float:
    """Milliseconds from an event to its arrival, the median."""
    delays: list[float] = []
    with receiver(delays) as url, started.http() as http:
        http.post(
            "/projects/bench/webhooks", json={"url": url, "types": ["run:created"]}
        ).raise_for_status()
        for _ in range(EVENTS):
            http.post("/projects/bench/runs", json={}).raise_for_status()
            time.sleep(PAUSE_SECONDS)
        end = time.monotonic() + 60
        while len(delays) < EVENTS and time.monotonic() < end:
            time.sleep(PAUSE_SECONDS)
    return median(delays)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    print(machine())
    with server() as started:
        with started.http() as http:
            http.post("/projects", json={"name": "bench", "slug": "bench"}).raise_for_status()
        leaves = webhook(started)
        print(
            f"a webhook arrives {leaves:.0f} ms after its event, at most {WEBHOOK_MS}", flush=True
        )
        rate = telemetry(started, options.seconds)
        print(
            f"{rate:,.0f} log records per second of one core, at least {RECORDS_PER_SECOND:,}",
            flush=True,
        )
        took = long_log(started, options.lines)
        for name, (ms, spent) in took.items():
            print(
                f"`log` of {options.lines:,} lines, {name}: {ms:.0f} ms, at most {LOG_MS}; "
                f"{spent:.0f} ms of the server's processor"
            )
    slowest = max(each.took for each in took.values())
    return int(leaves > WEBHOOK_MS or rate < RECORDS_PER_SECOND or slowest > LOG_MS)


if __name__ == "__main__":
    sys.exit(main())
