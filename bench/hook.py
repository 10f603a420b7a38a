"""What a hook costs an agent: the start of `runcast-hook` beside that of an empty Python.

    python -m bench.hook [ROUNDS]

Processor time of the process, not time on the clock; both in turn, and of each the cheapest round and the
median. The empty Python imports `http.client`, as no hook can do without. The hook finds no server's address,
so it ends where it would send its input. Ends with 1 where the ratio is beyond the mark.
"""

import resource
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from statistics import median

MARK = 1.3
ROUNDS = 40
INPUT = b'{"session_id": "bench", "hook_event_name": "PostToolUse"}'


def cost(command: list[str]) -> float:
    """Processor seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command, input=INPUT, stdout=subprocess.DEVNULL, env={"HOME": "/nonexistent"}, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "runcast-hook"
        source = (files("runcast.agents") / "hook.py").read_text(encoding="utf-8")
        program.write_text(f"#!{sys.executable} -IS\n{source}", encoding="utf-8")
        program.chmod(0o755)
        hooks, empty = [], []
        for _ in range(rounds):
            hooks.append(cost([str(program), "claude"]))
            empty.append(cost([sys.executable, "-IS", "-c", "import http.client"]))
    cheapest, middle = min(hooks) / min(empty), median(hooks) / median(empty)
    print(f"hook {min(hooks) * 1000:.1f} ms, empty {min(empty) * 1000:.1f} ms of processor time")
    print(f"ratio {cheapest:.2f} (median {middle:.2f}), at most {MARK}")
    return int(cheapest > MARK)


if __name__ == "__main__":
    sys.exit(main())
