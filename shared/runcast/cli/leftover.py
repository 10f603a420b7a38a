"""Goes on passing output for processes that a command left behind, after `runcast exec` has ended.

A program of its own, started as `python -IS leftover.py INLET:TARGET…`. Without it a daemon would be
killed by SIGPIPE at its next line, though the same command alone would have left it the real stdout.
It ends with its last inlet, or when no one reads its target any more.
"""

import os
import select
import sys


def main() -> None:
    flows = {int(i): int(o) for i, o in (pair.split(":") for pair in sys.argv[1:])}
    while flows:
        poll = select.poll()
        for inlet in flows:
            poll.register(inlet, select.POLLIN)
        for inlet, _ in poll.poll():
            if not pass_on(inlet, flows[inlet]):
                os.close(inlet)
                del flows[inlet]


def pass_on(inlet: int, target: int) -> bool:
    """False where there is nothing more to come, or no one to read it."""
    try:
        view = memoryview(os.read(inlet, 65_536))
        is_open = len(view) > 0
        while view:
            try:
                view = view[os.write(target, view) :]
            except BlockingIOError:
                select.select([], [target], [])
        return is_open
    except BlockingIOError:
        return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
