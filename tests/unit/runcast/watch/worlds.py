"""A home with agents' files, and watchers that look at it with a clock of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from runcast.agents.redaction import Redaction
from runcast.watch.adapters import ADAPTERS
from runcast.watch.content import Content, Policy
from runcast.watch.fleet import Options
from runcast.watch.watcher import Watcher

Json = dict[str, Any]

DATA = Path(__file__).parents[3] / "data" / "agents"
CLAUDE = "6f0c2b1e-5a34-4d0e-9a77-0b6c1d2e3f40"
CLAUDE_KEY = f"claude-{CLAUDE}"
CODEX = "019acb10-0000-7000-8000-00000000000a"
CODEX_KEY = f"codex-{CODEX}"
CODEX_CHILD_KEY = "codex-019acb10-0000-7000-8000-00000000000b"


class World:
    """`home` holds a directory for each agent, `runs` the runs."""

    def __init__(self, path: Path) -> None:
        self.home = path / "home"
        self.runs = path / "runs"
        self.at = 1000.0
        self.content: Content = "text"
        self.since_seconds: float | None = None
        self.idle_close_seconds = 12 * 3600.0
        self.told: list[Json] = []
        self.wall_shift = 0.0
        """Seconds by which this machine's wall clock was set."""

    @property
    def transcript(self) -> Path:
        return self.home / "claude" / "projects" / "-w-app" / f"{CLAUDE}.jsonl"

    def copy(self, *agents: str) -> None:
        """The samples of agents, as if they had just been written."""
        for agent in agents:
            # Not copy2: the time of the copy is that at which this checkout was made.
            shutil.copytree(
                DATA / agent, self.home / agent, dirs_exist_ok=True, copy_function=shutil.copyfile
            )

    def write(self, path: Path, content: bytes, mode: str = "ab") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode) as file:
            file.write(content)

    def register(self, **entry: Any) -> Path:
        """An entry in Claude's registry, for this process unless another is named."""
        pid = entry.get("pid", os.getpid())
        whole = {
            "pid": pid,
            "sessionId": CLAUDE,
            "startedAt": time.time() * 1000,
            "status": "busy",
            "kind": "interactive",
            "entrypoint": "cli",
        } | entry
        path = self.home / "claude" / "sessions" / f"{pid}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(whole))
        return path

    def watcher(self, *agents: str) -> Watcher:
        names = agents or tuple(name for name in ADAPTERS if (self.home / name).is_dir())
        return Watcher(
            [(ADAPTERS[name](), self.home / name) for name in names],
            Policy(self.content, Redaction()),
            Options(self.runs, "default", "mac-1", self.since_seconds, self.idle_close_seconds),
            told=lambda each: self.told.append({"run": each.last_key} | each.shown),
            clock=lambda: self.at,
            now=lambda: time.time() + self.wall_shift,
        )

    def rounds(self, watcher: Watcher, seconds: float = 12.0) -> None:
        """Lets the watcher work for so long."""
        end = self.at + seconds
        while self.at < end:
            while watcher.round():
                pass
            self.at += 1.0

    def spool(self, key: str) -> list[Json]:
        content = (self.runs / key / "spool.jsonl").read_bytes()
        assert content.endswith(b"\n")
        return [json.loads(line) for line in content.splitlines()]

    def entries(self, key: str) -> list[Json]:
        """The entries of a run as the expected files have them."""
        return [
            {
                name: message["data"][name]
                for name in ("event_type", "level", "message", "payload")
                if name in message["data"]
            }
            for message in self.spool(key)
            if message["type"] == "agent:log"
        ]

    def run(self, key: str) -> Json:
        """The run as a server would have it."""
        run: Json = json.loads((self.runs / key / "run.json").read_bytes())
        for message in self.spool(key):
            if message["type"] == "run:updated":
                run |= message["data"]
            elif message["type"] == "agent:completed":
                run |= {"status": "completed", "attention": None}
            elif message["type"] == "agent:failed":
                run |= {"status": "failed", "attention": None, **message["data"]}
        return run

    def run_keys(self) -> list[str]:
        return sorted(path.name for path in self.runs.iterdir() if path.is_dir())


def expected(name: str) -> Any:
    return json.loads((DATA / f"expected-{name}.json").read_bytes())


def wanted(entries: list[Json]) -> list[Json]:
    return [{"level": "info"} | entry for entry in entries]
