"""Claude Code without a terminal, under `runcast exec`, while a watcher sees the session that it writes.

The run of `exec` is the session's until the command ends. What its person says in it afterwards, by hand, is
the session's next run.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from tests.commands import RUNCAST
from tests.fleet.sessions import Claude, Json, Truth, Writing

HAND_OVER_SECONDS = 60.0


class Executed(Claude):
    """Its command prints what comes by a pipe: the same records that stand in the session's file."""

    def __init__(
        self, root: Path, chance: Random, environ: Mapping[str, str], project: str
    ) -> None:
        self.environ = environ
        self.project = project
        super().__init__(root, chance)
        self.under_exec = Truth(f"nightly-{self.id[:8]}")
        self.by_hand = self.truth
        self.by_hand.key += ".r2"
        self.truth = self.under_exec
        self.output = -1

    @property
    def truths(self) -> list[Truth]:
        return [self.under_exec, self.by_hand, *self.others]

    def register(self, status: str, **more: Any) -> None:
        if self.truth is self.by_hand:
            super().register(status, **more)

    def saw(self, kind: str, message: str) -> None:
        if self.truth is self.by_hand or kind != "prompt":
            super().saw(kind, message)  # the command doesn't print what it was asked

    def record(self, kind: str, content: Any, **more: Any) -> Json:
        made = super().record(kind, content, **more)
        if self.output >= 0 and not isinstance(content, str):
            self.print({"type": kind, "message": made["message"], "parent_tool_use_id": None})
        return made

    def print(self, record: Json) -> None:
        line = json.dumps(record | {"session_id": self.id}).encode() + b"\n"
        os.write(self.output, line)

    def story(self) -> Writing:
        pipe = self.root / f"{self.id}.pipe"
        pipe.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(pipe)
        command = [RUNCAST, "exec", "-q", "-p", self.project, "--run", self.under_exec.key]
        command += ["--agent", "claude", "--", "cat", str(pipe)]
        with subprocess.Popen(
            command, cwd=self.root.parent, env=dict(self.environ), stdout=subprocess.DEVNULL
        ) as running:
            yield from self.opened(pipe)
            prompt = self.prompt("Task of the night")
            yield from prompt
            first = {"type": "system", "subtype": "init", "model": "claude-sonnet-5"}
            self.print(first)
            yield
            yield from self.tool("do it", True, "it is done")
            yield from self.say("Done in the night.")
            result = {"type": "result", "subtype": "success", "is_error": False}
            self.print(result | {"result": "Done in the night."})
            os.close(self.output)
            self.output = -1
            assert running.wait(HAND_OVER_SECONDS) == 0
        self.under_exec.is_now("completed")
        self.truth = self.by_hand
        yield from self.prompt("And by hand")
        yield from self.say("Done by hand.")

    def opened(self, pipe: Path) -> Writing:
        """Waits until the command reads, while the others go on."""
        until = time.monotonic() + HAND_OVER_SECONDS
        while self.output < 0:
            try:
                self.output = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                assert time.monotonic() < until, "the command doesn't begin"
                time.sleep(0.02)
                yield
