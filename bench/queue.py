"""The queue: how many subtasks a second sixty-four workers claim, each over its own connection.

    python -m bench.queue [--workers 64] [--subtasks 10000]

Claims until the queue is empty, without and with idempotency keys; then claim and complete, as workers do.
Server, Postgres and the workers share this machine's processors. Each subtask is checked to be given once.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from bench.ingest import spread
from bench.server import Server, machine, server

TASK_SIZE = 1000
TIMEOUT_SECONDS = 60.0


@dataclass
class Worker:
    """One keep-alive connection, written and read with as little work as possible."""

    server: Server
    name: str
    keys: Iterator[int] | None = None
    claimed: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.server.port)

    def close(self) -> None:
        self._writer.close()

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        key = b"" if self.keys is None else b"Idempotency-Key: %d\r\n" % next(self.keys)
        self._writer.write(
            b"POST %b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n%b"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (path.encode(), self.server.token.encode(), key, len(body), body)
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        return int(head[9:12]), await self._reader.readexactly(length)

    async def claim(self) -> dict[str, str] | None:
        """The subtask, or None where the queue is empty."""
        begun = time.perf_counter()
        body = b'{"worker_id":"%b","lease_s":86400}' % self.name.encode()
        code, answer = await self.post("/projects/default/subtasks/claim", body)
        if code == 204:
            return None
        assert code == 200, answer
        self.seconds.append(time.perf_counter() - begun)
        subtask: dict[str, str] = json.loads(answer)["subtask"]
        self.claimed.append(subtask["id"])
        return subtask

    async def only_claim(self) -> None:
        while await self.claim():
            pass

    async def claim_and_complete(self) -> None:
        while subtask := await self.claim():
            body = b'{"worker_id":"%b"}' % self.name.encode()
            code, answer = await self.post(f"/subtasks/{subtask['id']}/complete", body)
            assert code == 200, answer


Work = Callable[[Worker], Awaitable[None]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--subtasks", type=int, default=10_000)
    options = parser.parse_args()
    print(machine())
    with server(RUNCAST_REQUESTS_PER_MINUTE="0") as one:
        spread(one)
        for name, work, has_keys, share in (
            ("claim", Worker.only_claim, False, 1),
            ("claim with idempotency keys", Worker.only_claim, True, 1),
            ("claim and complete", Worker.claim_and_complete, False, 5),
        ):
            number = options.subtasks // share
            fill(one, number)
            print(
                asyncio.run(drain(one, options.workers, number, name, work, has_keys)), flush=True
            )


def fill(one: Server, number: int) -> None:
    """This many subtasks, ready to be claimed."""
    with one.http() as http:
        for start in range(0, number, TASK_SIZE):
            titles = range(start, min(start + TASK_SIZE, number))
            body = {"title": "bench", "subtasks": [{"title": f"subtask {n}"} for n in titles]}
            made = http.post("/projects/default/tasks", json=body, timeout=TIMEOUT_SECONDS)
            task = made.raise_for_status().json()["id"]
            http.post(f"/tasks/{task}/activate", timeout=TIMEOUT_SECONDS).raise_for_status()


async def drain(
    one: Server, workers: int, expected: int, name: str, work: Work, has_keys: bool
) -> str:
    keys = count(time.time_ns()) if has_keys else None
    crew = [Worker(one, f"worker-{n}", keys) for n in range(workers)]
    await asyncio.gather(*[worker.open() for worker in crew])
    begun, cpu = time.perf_counter(), one.cpu_seconds()
    await asyncio.gather(*[work(worker) for worker in crew])
    seconds, cpu = time.perf_counter() - begun, one.cpu_seconds() - cpu
    for worker in crew:
        worker.close()
    claimed = [id for worker in crew for id in worker.claimed]
    assert len(claimed) == len(set(claimed)) == expected, (len(claimed), expected)
    waits = sorted(wait * 1000 for worker in crew for wait in worker.seconds)
    return (
        f"{name:30} {expected / seconds:8,.0f}/s   {workers} workers   a claim: "
        f"p50 {statistics.median(waits):.0f} ms, p99 {waits[int(len(waits) * 0.99)]:.0f} ms, "
        f"{cpu / expected * 1e6:.0f} µs of the server's processor"
    )


if __name__ == "__main__":
    main()
