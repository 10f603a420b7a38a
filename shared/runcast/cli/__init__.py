"""The `runcast` program. What it does is in `program`; here is only what must come first.

This module imports nothing heavy: until `main` has taken care of the descriptors and of Ctrl-C,
neither a closed stdout nor an impatient person may meet half a program.
"""

import importlib
import signal
import sys

from runcast.cli import stdio


def main() -> None:
    """The program. Errors are one line on stderr and an exit code (`exits`), not a traceback."""
    stdio.prepare()
    handler = signal.getsignal(signal.SIGINT)
    if handler == signal.default_int_handler:
        # While modules are imported, Ctrl-C ends us without a word.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    program = importlib.import_module("runcast.cli.program")
    if handler == signal.default_int_handler:
        signal.signal(signal.SIGINT, handler)
    sys.exit(program.run(sys.argv[1:]))
