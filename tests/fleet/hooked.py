"""Claude Code and Codex with Runcast's hooks connected: a session is told by its files and by its hooks."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from tests.fleet.sessions import Claude, Codex, Session, Writing


class _WithHooks(Session):
    """Runs the hook's program as the agent does. What it asks is answered at its own terminal."""

    def __init__(
        self, root: Path, chance: Random, program: str, environ: Mapping[str, str]
    ) -> None:
        self.hook_program = program
        self.environ = environ
        super().__init__(root, chance)
        self.hook("SessionStart", source="startup", model="claude-sonnet-5")

    def hook(self, event: str, **members: Any) -> None:
        given = {"session_id": self.id, "cwd": "/w/app", "prompt_id": "p1",
                 "permission_mode": "default", "hook_event_name": event}  # fmt: skip
        text = json.dumps(given | members).encode()
        command = [self.hook_program, self.program]
        subprocess.run(command, input=text, env=self.environ, stdout=subprocess.PIPE, check=True)

    def prompt(self, text: str) -> Writing:
        yield from super().prompt(text)
        self.hook("UserPromptSubmit", prompt=text)
        yield

    def ask(self, command: str) -> None:
        self.hook("PermissionRequest", tool_name="Bash", tool_input={"command": command})

    def tool(self, command: str, ok: bool, result: str) -> Writing:
        yield from super().tool(command, ok, result)
        event = "PostToolUse" if ok else "PostToolUseFailure"
        self.hook(event, tool_name="Bash", tool_input={"command": command}, tool_response=result)
        yield

    def say(self, text: str) -> Writing:
        yield from super().say(text)
        self.hook("Stop", last_assistant_message=text, background_tasks=[])
        yield


class HookedCodex(_WithHooks, Codex):
    """Its file doesn't say that it waits: its hooks do."""

    can_wait = True

    def wait(self, command: str) -> Writing:
        self.ask(command)
        self.truth.is_now("awaiting_feedback", "permission")
        yield
        self.truth.is_now("running")


class Hooked(_WithHooks, Claude):
    """Says by its hooks and by its registry that it waits."""

    def wait(self, command: str) -> Writing:
        self.ask(command)
        yield from super().wait(command)

    def fork(self) -> Writing:
        yield from ()

    def end(self) -> Writing:
        self.hook("SessionEnd", reason="prompt_input_exit")
        self.registry.unlink()
        self.close()
        self.truth.is_now("completed")
        yield
