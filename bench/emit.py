"""What a call of the SDK costs its host program: server up, refusing, silent, and none at all.

    python -m bench.emit [--calls 3000]

`emit` (which also swaps status.json, of 1,000 events at most) and `log`, one call after another as fast as
they go, and 200 of each a second; the clock's time, p50, p99 and the longest.
"""

import argparse
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.ingest import spread
from bench.server import machine, server

REFUSING = "http://127.0.0.1:9"
HOST = """
import sys, time
from runcast import RunTracker
calls, url, token = int(sys.argv[1]), sys.argv[2], sys.argv[3]
def took(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
def shown(name, times):
    times.sort()
    p50, p99 = (times[int(len(times) * share)] * 1e3 for share in (0.5, 0.99))
    print(f"    {name:24}{p50:8.3f} ms p50{p99:8.3f} ms p99{times[-1] * 1e3:9.3f} ms at most")
server = {"url": url, "token": token} if url else {"offline": True}
with RunTracker(project="default", flush_seconds=5, **server) as run:
    emit = lambda: run.emit("idea", "a message of ordinary length", percent=10)
    log = lambda: run.log("a line of ordinary length, as agents write them")
    for name, call in (("emit", emit), ("log", log)):
        shown(name, [took(call) for _ in range(calls)])
        slowly = []
        for _ in range(600):
            time.sleep(0.005)
            slowly.append(took(call))
        shown(f"{name}, 200 a second", slowly)
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=3_000)
    options = parser.parse_args()
    print(machine())
    print("no server")
    measure(options.calls)
    print("a server that refuses")
    measure(options.calls, REFUSING, "x")
    print("a server that is silent")
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        measure(options.calls, f"http://127.0.0.1:{silent.getsockname()[1]}", "x")
    print("a server that is up, on the same processors")
    with tempfile.TemporaryDirectory() as folder, server(RUNCAST_RUNS_DIR=folder) as one:
        spread(one)
        measure(options.calls, one.url, one.token)


def measure(calls: int, url: str = "", token: str = "") -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", HOST, str(calls), url, token]
        subprocess.run(command, cwd=Path(folder), stderr=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
