"""`make torture`, or `python -m tests.torture --minutes 10 --seed 7`. Exit code 1 when anything is wrong.

`--keep` leaves the processes' logs and the histories' directory behind for a look.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.torture.cluster import Cluster
from tests.torture.run import Plan, torture


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--readers", type=int, default=24)
    parser.add_argument("--rate", type=float, default=1.0, help="times about 450 events a second")
    parser.add_argument("--only", default="", help="kinds of faults, comma-separated")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--slots", action="store_true", help="on a Redis Cluster")
    asked = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="runcast-torture-"))
    cluster = Cluster(root, has_slots=asked.slots)
    plan = Plan(
        asked.minutes * 60,
        asked.seed,
        readers=asked.readers,
        rate=asked.rate,
        at_least=int(asked.minutes * 1.5),
        kinds=asked.only.split(",") if asked.only else None,
    )
    try:
        cluster.start()
        report = uvloop.run(torture(plan, cluster, say))
        denied = cluster.slots.denied() if cluster.slots else []
    finally:
        cluster.stop()
        if asked.keep:
            say(f"logs are in {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)
    for line in report.lines():
        say(line)
    for user, what in denied:
        say(f"Redis refused {user}: {what}")
    return 0 if report.is_clean and report.is_quick and not denied else 1


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
