"""What a call of the SDK costs its host program: server up, refusing, silent, and none at all.

    python -m bench.emit [--calls 3000]

`emit` (which also swaps status.json, of 1,000 events at most) and `log`, one call after another as fast as
they go, and 200 of each a second; the clock's time, p50, p99 and the longest. Then `RuncastHandler` from
eight threads beside `logging.FileHandler`, `runcast exec` beside the bare command, and what commands take to
start beside an empty Python program: as ratios, because both are measured in one run on one machine.
"""

import argparse
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.ingest import spread
from bench.server import machine, server

RUNCAST = str(Path(sys.executable).with_name("runcast"))
HANDLERS = """
import logging, os, sys, threading, time
from runcast import RunTracker
from runcast.logging import RuncastHandler
lines, threads = int(sys.argv[1]), 8
def rate(name, handler):
    logger = logging.getLogger(name)
    logger.propagate, logger.level = False, logging.INFO
    logger.addHandler(handler)
    def work():
        for number in range(lines // threads):
            logger.info("a line of ordinary length, as agents write them: %d", number)
    works = [threading.Thread(target=work) for _ in range(threads)]
    began, used = time.perf_counter(), time.process_time()
    for each in works: each.start()
    for each in works: each.join()
    return lines / (time.perf_counter() - began), lines / (time.process_time() - used)
with RunTracker(offline=True) as run:
    for _ in range(3):
        plain = rate("plain", logging.FileHandler("plain.log"))
        ours = rate("ours", RuncastHandler(run))
        logging.getLogger("plain").handlers.clear(), logging.getLogger("ours").handlers.clear()
        for what, one, other in zip(("by the clock", "per CPU second"), ours, plain):
            print(f"    {one:10,.0f} lines/s {what:16} FileHandler {other:10,.0f}  ratio {one / other:.2f}")
    kept = sum(1 for line in open(run.directory / "spool.jsonl", "rb") if b'"agent:log"' in line)
    assert kept == 3 * (lines // threads) * threads, kept
"""
COMMANDS = (
    ("python -c pass", [sys.executable, "-c", "pass"]),
    ("runcast logs", [RUNCAST, "logs", "x", "--dir", "none"]),
    ("runcast wait", [RUNCAST, "wait", "x", "--dir", "none"]),
    ("runcast exec", [RUNCAST, "exec", "-q", "--", "true"]),
)
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


def timed(command: list[str], folder: Path) -> tuple[float, float]:
    """The clock's seconds and those of the processors that a command takes; its output goes to a file."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    environ = {**os.environ, "RUNCAST_MODE": "offline"}
    with (folder / "output").open("wb") as output:
        subprocess.run(
            command, cwd=folder, env=environ, stdout=output, stderr=subprocess.DEVNULL, check=False
        )
    clock, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(commands: tuple[tuple[str, list[str]], ...], rounds: int) -> None:
    """Each command's best of some rounds, beside the first one's."""
    with tempfile.TemporaryDirectory() as folder:
        best = {
            name: min(timed(command, Path(folder)) for _ in range(rounds))
            for name, command in commands
        }
    first = best[commands[0][0]]
    for name, (clock, used) in best.items():
        ratio = f"ratio {clock / first[0]:6.2f} ({used / first[1]:.2f})"
        print(f"    {name:24}{clock:8.3f} s ({used:.3f} s of the processor)  {ratio}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=3_000)
    options = parser.parse_args()
    print(machine())
    print("RuncastHandler, eight threads")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-c", HANDLERS, str(20 * options.calls)], cwd=folder, check=True
        )
    print("starting, best of five")
    compare(COMMANDS, 5)
    print("seq 1 1000000 into a file, best of three")
    seq = ["seq", "1", "1000000"]
    compare((("bare", seq), ("runcast exec", [RUNCAST, "exec", "-q", "--", *seq])), 3)
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
