"""Many files that sleep, one that floods, one that trickles: what the first cost and the last waits.

    python -m bench.trickle [--idle 5000] [--seconds 20]

The share of a processor that `runcast up` takes while all files sleep, and the delay from the write of a
line in the trickling file to its frame on the run's stream while another file grows as fast as it is
stored. At the end every line of both has to be there.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.ingest import spread
from bench.server import Server, machine, server

TRICKLE_PER_SECOND = 20
FLOOD_LINE = b"%09d " + b"x" * 85 + b"\n"
FLOOD_CHUNK = 2_000
AHEAD_LINES = 200_000
LONG_AGO_SECONDS = 1_200.0
IDLE_SECONDS = 10.0
LAST_SECONDS = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--idle", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.idle):
            sleeping(Path(folder) / f"idle-{number}")
        with server(RUNCAST_RUNS_DIR=folder) as one:
            spread(one)
            wait_until(lambda: metric(one, "runcast_tailer_followed_files") >= options.idle)
            time.sleep(3.0)
            share = idle_share(one)
            print(f"idle    {share:10.1%} of one processor with {options.idle:,} files that sleep")
            print(trickle(one, Path(folder), options.seconds))


def sleeping(directory: Path) -> None:
    """A run whose log was last written long ago."""
    directory.mkdir()
    path = directory / "logs.txt"
    path.touch()
    long_ago = time.time() - LONG_AGO_SECONDS
    os.utime(path, (long_ago, long_ago))


def idle_share(one: Server) -> float:
    begin, cpu = time.monotonic(), one.cpu_seconds()
    time.sleep(IDLE_SECONDS)
    return (one.cpu_seconds() - cpu) / (time.monotonic() - begin)


def trickle(one: Server, folder: Path, seconds: float) -> str:
    """The delay of each line of a file beside one that floods, and whether all lines are there."""
    delays: list[float] = []
    total = int(seconds * TRICKLE_PER_SECOND)
    for name in ("trickle", "flood"):
        (folder / name).mkdir()
        (folder / name / "logs.txt").write_bytes(b"begin\n")
    wait_until(lambda: stored(one, "trickle") == stored(one, "flood") == 1)
    ending = threading.Event()
    flooding = Flood(one, folder / "flood" / "logs.txt", ending)
    reader = threading.Thread(target=receive, args=(one, run(one, "trickle")["id"], delays, total))
    reader.start()
    flooding.start()
    begin = time.monotonic()
    with (folder / "trickle" / "logs.txt").open("ab", buffering=0) as file:
        for number in range(total):
            time.sleep(max(0.0, begin + number / TRICKLE_PER_SECOND - time.monotonic()))
            file.write(b"at %.6f\n" % time.time())
    rate = stored(one, "flood") / (time.monotonic() - begin)
    ending.set()
    flooding.join()
    reader.join(LAST_SECONDS)
    wait_until(lambda: stored(one, "trickle") == total + 1)
    wait_until(lambda: stored(one, "flood") == flooding.written + 1)
    ordered = sorted(delays)
    assert len(ordered) == total, f"{len(ordered)} of {total} lines were received"
    p50, p99 = (ordered[int(len(ordered) * share)] * 1e3 for share in (0.5, 0.99))
    return (
        f"trickle {p50:10.0f} ms median, {p99:.0f} ms p99, {ordered[-1] * 1e3:.0f} ms at most from write to "
        f"frame, beside {rate:,.0f} lines/s of another file; all of {flooding.written + total:,} lines stored"
    )


class Flood(threading.Thread):
    """A file that grows as fast as it is stored, never further ahead than some lines."""

    def __init__(self, one: Server, path: Path, ending: threading.Event) -> None:
        super().__init__()
        self.written = 0
        self._one, self._path, self._ending = one, path, ending

    def run(self) -> None:
        with self._path.open("ab", buffering=0) as file:
            while not self._ending.wait(0.005):
                if self.written % (10 * FLOOD_CHUNK) == 0:
                    while self.written - stored(self._one, "flood") > AHEAD_LINES:
                        time.sleep(0.1)
                lines = [FLOOD_LINE % n for n in range(self.written, self.written + FLOOD_CHUNK)]
                file.write(b"".join(lines))
                self.written += FLOOD_CHUNK


def receive(one: Server, run_id: str, delays: list[float], total: int) -> None:
    with (
        one.http() as http,
        http.stream("GET", f"/runs/{run_id}/stream?last_event_id=0", timeout=60) as stream,
    ):
        for line in stream.iter_lines():
            if line.startswith("data: ") and '"line":"at ' in line:
                delays.append(time.time() - float(json.loads(line[6:])["line"].split(" ")[1]))
                if len(delays) >= total:
                    return


def run(one: Server, key: str) -> dict[str, Any]:
    with one.http() as http:
        found: list[dict[str, Any]] = http.get(
            "/projects/default/runs", params={"key": key}
        ).json()["runs"]
    return found[0] if found else {"last_line_number": 0}


def stored(one: Server, key: str) -> int:
    """Lines of a run that are committed."""
    return int(run(one, key)["last_line_number"])


def metric(one: Server, name: str) -> float:
    with one.http() as http:
        lines = http.get("/metrics").text.splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0.0)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LAST_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("stuck")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
