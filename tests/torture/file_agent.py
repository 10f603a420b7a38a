"""An agent that writes `logs.txt`: `python -m tests.torture.file_agent DIRECTORY NAME RATE`.

A process of its own, so that a limit on the size of its files (`RLIMIT_FSIZE`) can fill its disk. A
write that fails or is cut short is gone on with where it stopped, as a program must. SIGTERM ends it,
once everything is written; then it says how many lines there are and how many writes failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

BEAT_SECONDS = 0.05


class Agent:
    """Lines `~name:1~ …`, `~name:2~ …` at a rate, in pieces that needn't end where a line does."""

    def __init__(self, directory: Path, name: str, rate: float) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = os.open(directory / "logs.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._name = name
        self._rate = rate
        self._rest = b""
        self._chance = random.Random(name)
        self._is_stopping = False
        self.lines = 0
        self.failures = 0

    def stop(self, *_: object) -> None:
        self._is_stopping = True

    def run(self) -> None:
        started = time.monotonic()
        while not self._is_stopping:
            due = int((time.monotonic() - started) * self._rate)
            for serial in range(self.lines + 1, min(due, self.lines + 400) + 1):
                self._rest += b"~%b:%d~ a line of an agent's log\n" % (self._name.encode(), serial)
                self.lines = serial
            self._push(self._chance.randrange(len(self._rest) + 1))
            time.sleep(BEAT_SECONDS)
        while self._rest:
            self._push(len(self._rest))
            time.sleep(BEAT_SECONDS)

    def _push(self, size: int) -> None:
        if not size:
            return
        try:
            self._rest = self._rest[os.write(self._file, self._rest[:size]) :]
        except OSError:
            self.failures += 1


if __name__ == "__main__":
    agent = Agent(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
    signal.signal(signal.SIGTERM, agent.stop)
    with contextlib.suppress(KeyboardInterrupt):
        agent.run()
    sys.stdout.write(json.dumps({"lines": agent.lines, "failures": agent.failures}))
