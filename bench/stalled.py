"""Stalled clients beside healthy ones: what they cost the healthy, the process and the kernel.

    python -m bench.stalled [--healthy 2000] [--stalled 2000]

The same bursts of log lines go to the healthy clients alone and then with the stalled ones beside them.
Printed are the times of each, their ratio, the process's memory, and the kernel's for all sockets (of a
loopback connection it holds both ends: what the server has sent and the client has not read lies in the
client's receive buffer too).
"""

import argparse
import json
import statistics
import time
from pathlib import Path

from bench.fanout import prepare
from bench.server import Load, Server, load, machine, server

BURSTS = 5
LINES = 1_000
LINE = "x" * 91
PATH = "/projects/bench/events?subscribe_logs=all"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--healthy", type=int, default=2000)
    parser.add_argument("--stalled", type=int, default=2000)
    options = parser.parse_args()
    print(machine())
    with server() as one:
        run_id = prepare(one)
        with load(one, options.healthy, [PATH]) as healthy:
            alone = bursts(one, healthy, run_id, options.healthy, "alone")
            memory, kernel = one.resident_bytes(), kernel_bytes()
            with load(one, options.stalled, [PATH], stalls=True):
                bursts(one, healthy, run_id, options.healthy, "filling")
                beside = bursts(one, healthy, run_id, options.healthy, "beside")
                used = (one.resident_bytes() - memory) / options.stalled / 1024
                held = (kernel_bytes() - kernel) / options.stalled / 1024
    print(
        f"healthy alone          {alone:6.2f} s a burst of {LINES} lines to {options.healthy} clients"
    )
    print(f"beside {options.stalled} stalled    {beside:6.2f} s, ratio {beside / alone:.2f}")
    print(f"per stalled client     {used:6.1f} KiB of the process, {held:.1f} KiB of the kernel")


def bursts(one: Server, clients: Load, run_id: str, connections: int, source: str) -> float:
    """The median time of a burst until the last healthy client has it."""
    times = []
    with one.redis() as redis:
        for number in range(BURSTS):
            message = {
                "type": "lines",
                "run_id": run_id,
                "source": source,
                "generation": 1,
                "first_line": number * LINES + 1,
                "first_offset": number * LINES * (len(LINE) + 1),
                "lines": [LINE] * LINES,
            }
            frames = clients.frames
            begin = time.monotonic()
            redis.xadd("runcast:ingest", {"m": json.dumps(message)})
            clients.until(frames=frames + LINES * connections)
            times.append(time.monotonic() - begin)
    return statistics.median(times)


def kernel_bytes() -> int:
    """Memory of all TCP sockets of this machine."""
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            return int(line.split()[-1]) * 4096
    return 0


if __name__ == "__main__":
    main()
