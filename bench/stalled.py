"""Stalled clients beside healthy ones: what they cost the healthy, the process and the kernel.

    python -m bench.stalled [--healthy 2000] [--stalled 2000]

The same bursts of log lines, and the same single lines one after another, go to the healthy clients alone
and then with the stalled ones beside them. Printed are the times of each until the last healthy client has
it, their ratios, the process's memory, and the kernel's for all sockets (of a loopback connection it holds
both ends: what the server has sent and the client has not read lies in the client's receive buffer too).
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
SINGLES = 40
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
        with load(one, options.healthy, [PATH], interval_ms=5) as healthy:
            alone = times(one, healthy, run_id, options.healthy, "alone")
            memory, kernel = one.resident_bytes(), kernel_bytes()
            with load(one, options.stalled, [PATH], stalls=True):
                times(one, healthy, run_id, options.healthy, "filling")
                beside = times(one, healthy, run_id, options.healthy, "beside")
                used = (one.resident_bytes() - memory) / options.stalled / 1024
                held = (kernel_bytes() - kernel) / options.stalled / 1024
    print(f"until the last of {options.healthy:,} healthy clients has it, median (and range):")
    for what, one_alone, one_beside in zip(
        (f"a burst of {LINES:,} lines", "a single line"), alone, beside, strict=True
    ):
        print(
            f"  {what:24} alone {told(one_alone)}, beside {options.stalled:,} stalled "
            f"{told(one_beside)}, ratio "
            f"{statistics.median(one_beside) / statistics.median(one_alone):.2f}"
        )
    print(f"per stalled client     {used:6.1f} KiB of the process, {held:.1f} KiB of the kernel")


def times(
    one: Server, clients: Load, run_id: str, connections: int, source: str
) -> tuple[list[float], list[float]]:
    """Seconds until the last healthy client has a burst, of each; and a single line, of each."""
    taken: list[float] = []
    sent = 0
    with one.redis() as redis:
        for lines in [LINES] * BURSTS + [1] * SINGLES:
            message = {
                "type": "lines",
                "run_id": run_id,
                "source": source,
                "generation": 1,
                "first_line": sent + 1,
                "first_offset": sent * (len(LINE) + 1),
                "lines": [LINE] * lines,
            }
            frames = clients.frames
            begin = time.monotonic()
            redis.xadd("runcast:ingest", {"m": json.dumps(message)})
            clients.until(frames=frames + lines * connections)
            taken.append(time.monotonic() - begin)
            sent += lines
    return taken[:BURSTS], taken[BURSTS:]


def told(seconds: list[float]) -> str:
    """The median and the range, in milliseconds."""
    median, least, most = statistics.median(seconds), min(seconds), max(seconds)
    return f"{median * 1000:.0f} ms ({least * 1000:.0f}…{most * 1000:.0f})"


def kernel_bytes() -> int:
    """Memory of all TCP sockets of this machine."""
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            return int(line.split()[-1]) * 4096
    return 0


if __name__ == "__main__":
    main()
