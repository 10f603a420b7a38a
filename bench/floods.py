"""Neighbours that flood, each as a process of its own with the lowest priority, until its input ends.

    python -m bench.floods lines REDIS_URL RUN_ID
    python -m bench.floods slow-bodies PORT

Who floods has another machine than the server's and its other clients'. Here they share processors, so a
flood takes what the others leave: what is measured beside it is what the server makes of it.
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import redis

LINE = "x" * 91
BULK_LINES = 1_000
BULK_WAITING = 40
"""Messages of bulk ingest that wait in the stream: enough that it never runs dry."""
SLOW_BODIES = 10_000
OPENED_PER_SECOND = 500
LEAST_PRIORITY = 19


def main() -> None:
    kind, *arguments = sys.argv[1:]
    if kind == "lines":
        feed(*arguments)
    else:
        open_slowly(int(arguments[0]))


@contextlib.contextmanager
def running(kind: str, *arguments: object) -> Iterator[Callable[[], str]]:
    """A flood of this kind while the block lasts. Yields what tells, afterwards, what it said of itself."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.floods", kind, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=give_way,
    )
    told: list[str] = []
    try:
        time.sleep(1.0)
        yield lambda: told[0].strip()
    finally:
        told.append(process.communicate("", timeout=60)[0])


def give_way() -> None:
    """Takes this process behind every other one, before it becomes a flood."""
    os.nice(LEAST_PRIORITY)


def feed(url: str, run_id: str) -> None:
    """Lines on the ingest stream, always some waiting. Prints how many a second were taken."""
    number, begin = 0, time.monotonic()
    source, size = f"bulk-{time.time_ns()}", len(LINE) + 1
    tail = json.dumps([LINE] * BULK_LINES)
    with redis.Redis.from_url(url) as client:
        while not ends_within(0.0):
            if client.xlen("runcast:ingest") >= BULK_WAITING:
                ends_within(0.005)
                continue
            message = (
                f'{{"type":"lines","run_id":"{run_id}","source":"{source}","generation":1,'
                f'"first_line":{number + 1},"first_offset":{number * size},"lines":{tail}}}'
            )
            client.xadd("runcast:ingest", {"m": message})
            number += BULK_LINES
        print(f"{number / (time.monotonic() - begin):,.0f} lines/s were ingested")
        while client.xlen("runcast:ingest"):
            time.sleep(0.05)


def open_slowly(port: int) -> None:
    """Connections that send the beginning of a body and then nothing, opened at a steady pace, the oldest
    given up for new ones."""
    begun = (
        b"POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 4000\r\n\r\n"
    )
    waiting: list[socket.socket] = []
    while not ends_within(1 / OPENED_PER_SECOND):
        with contextlib.suppress(OSError):
            each = socket.create_connection(("127.0.0.1", port), 5)
            each.sendall(begun)
            waiting.append(each)
        if len(waiting) >= SLOW_BODIES:
            waiting.pop(0).close()


def ends_within(seconds: float) -> bool:
    """Waits this long at most. Whether the input has ended."""
    return bool(select.select([sys.stdin], [], [], seconds)[0])


if __name__ == "__main__":
    main()
