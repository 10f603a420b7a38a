"""Measures Runcast beside the hubs that people would pick instead, on the same work.

    python -m bench [--only runcast,nchan] [--scenario sparse-500,burst] [--quick] [--render]

Each pair of contender and scenario is measured by itself, and its figures go into
`bench/results/figures.json` at once: a run that was interrupted, or named only some of them, adds to what
is there. At the end come the marks, and the tables of `docs/performance.md` are written again;
`--render` does only that.
"""

import argparse
import contextlib
import os
import sys
import time
import traceback

from bench import figures, marks, tables
from bench.contenders import CONTENDERS
from bench.contenders.contender import Contender, NotHere
from bench.measure import Effort
from bench.scenarios import SCENARIOS, CannotError

PRIORITY = -10
LIMITED = {"loop-together": {"burst"}}
"""Contenders that say something in these scenarios only."""
QUICK = Effort(repeats=1, window_seconds=2.0)


def main() -> int:
    options = _options()
    if not options.render:
        # What else runs on the machine disturbs less. All that we start inherits it.
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
        effort = QUICK if options.quick else Effort(repeats=options.repeats)
        for contender in _chosen(options.only):
            _run(contender, options.scenario, effort)
    found = figures.read()
    tables.write(found)
    print(marks.text(found))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ",".join(contender.name for contender in CONTENDERS)
    parser.add_argument("--only", type=_names, help=f"of {names}")
    parser.add_argument("--scenario", type=_names, help=f"of {','.join(SCENARIOS)}")
    parser.add_argument("--repeats", type=int, default=Effort.repeats)
    parser.add_argument("--quick", action="store_true", help="one short repeat of each")
    parser.add_argument("--render", action="store_true", help="measure nothing, write the tables")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    return text.split(",")


def _chosen(only: list[str] | None) -> list[Contender]:
    unknown = set(only or []) - {contender.name for contender in CONTENDERS}
    if unknown:
        raise SystemExit(f"no such contender: {', '.join(sorted(unknown))}")
    return [contender for contender in CONTENDERS if only is None or contender.name in only]


def _run(contender: Contender, only: list[str] | None, effort: Effort) -> None:
    try:
        versions = contender.versions()
    except NotHere as reason:
        print(f"{contender.name}: not run: {reason}", flush=True)
        figures.not_run(contender, str(reason))
        return
    for name, scenario in SCENARIOS.items():
        if only is not None and name not in only:
            continue
        if name not in LIMITED.get(contender.name, SCENARIOS):
            continue
        begin = time.monotonic()
        try:
            found = scenario(contender, effort)
        except CannotError as reason:
            figures.cannot(contender, versions, name, str(reason))
            print(f"{contender.name:14} {name:13} can't: {reason}", flush=True)
        except (NotHere, SystemExit, OSError) as reason:
            traceback.print_exc(file=sys.stderr)
            figures.cannot(contender, versions, name, f"failed: {reason}")
            print(f"{contender.name:14} {name:13} failed: {reason}", flush=True)
        else:
            figures.add(contender, versions, name, found)
            seconds = time.monotonic() - begin
            print(
                f"{contender.name:14} {name:13} {figures.line(found)} ({seconds:.0f} s)", flush=True
            )


if __name__ == "__main__":
    sys.exit(main())
