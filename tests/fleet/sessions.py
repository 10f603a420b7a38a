"""Stand-ins for agents: each writes its session as the agent does, and keeps what Runcast has to show.

A session is told by verbs that all agents have (a prompt, a tool, a last word), each as one or more writes:
a generator that yields between them, so that sessions interleave and watchers die in between.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

Json = dict[str, Any]
Writing = Iterator[None]


@dataclass
class Truth:
    """What has to be shown of a session."""

    key: str
    parent: str | None = None
    status: str = "running"
    attention: str | None = None
    entries: list[tuple[str, str]] = field(default_factory=list)
    usage: list[int] = field(default_factory=lambda: [0, 0, 0])
    """Input without what a cache held, output, read from the cache."""

    def use(self, *counts: int) -> None:
        self.usage = [one + more for one, more in zip(self.usage, counts, strict=True)]

    def is_now(self, status: str, attention: str | None = None) -> None:
        self.status, self.attention = status, attention


class Session:
    """One session; `others` are the truths of runs that it makes besides its own."""

    program = ""
    can_wait = False

    def __init__(self, root: Path, chance: Random) -> None:
        self.root = root
        self.chance = chance
        self.id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        self.number = 0
        self.others: list[Truth] = []
        self.truth = Truth(self.key)
        self.begin()

    @property
    def key(self) -> str:
        return f"{self.program}-{self.id}"

    @property
    def truths(self) -> list[Truth]:
        return [self.truth, *self.others]

    def begin(self) -> None: ...

    def story(self) -> Writing:
        """A few turns; at the end the session works, waits or is idle."""
        for _ in range(self.chance.randint(1, 3)):
            yield from self.turn()
        if self.can_wait and self.chance.random() < 0.3:
            yield from self.prompt(f"Task {self.next()} of {self.id[:8]}")
            yield next(self.wait(f"do {self.next()}"))

    def turn(self) -> Writing:
        yield from self.prompt(f"Task {self.next()} of {self.id[:8]}")
        for _ in range(self.chance.randint(0, 3)):
            command = f"do {self.next()}"
            if self.can_wait and self.chance.random() < 0.4:
                yield from self.wait(command)
            ok = self.chance.random() < 0.8
            yield from self.tool(command, ok, f"result {self.next()}")
        yield from self.odd()
        if self.chance.random() < 0.8:
            yield from self.say(f"Done with {self.next()}.")

    def next(self) -> int:
        self.number += 1
        return self.number

    def odd(self) -> Writing:
        """What this agent does besides."""
        yield from ()

    def prompt(self, text: str) -> Writing:
        raise NotImplementedError

    def tool(self, command: str, ok: bool, result: str) -> Writing:
        raise NotImplementedError

    def say(self, text: str) -> Writing:
        raise NotImplementedError

    def wait(self, command: str) -> Writing:
        yield from ()

    def close(self) -> None:
        """Ends what belongs to the session."""

    def saw(self, kind: str, message: str) -> None:
        self.truth.entries.append((kind, message))

    def used_tool(self, tool: str, command: str, result: str) -> None:
        self.saw("tool", f"{tool}: {command}")
        self.saw("tool_result", result)

    def stamp(self) -> str:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        return now.replace("+00:00", "Z")


def append(path: Path, *records: Json) -> None:
    """Adds lines of JSON by one write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(b"".join(json.dumps(each).encode() + b"\n" for each in records))


class Claude(Session):
    """Transcript, registry of processes, sub-agents, compaction, forks, a crash or a clean end."""

    program = "claude"
    can_wait = True

    def begin(self) -> None:
        self.path = self.root / "projects" / "-w-app" / f"{self.id}.jsonl"
        self.process = subprocess.Popen(["sleep", "3600"])
        self.registry = self.root / "sessions" / f"{self.process.pid}.json"
        self.started_at = dt.datetime.now(dt.UTC).timestamp() * 1000
        self.records: list[Json] = []
        self.forks = 0

    def register(self, status: str, **more: Any) -> None:
        entry = {"pid": self.process.pid, "sessionId": self.id, "cwd": "/w/app", "kind": "interactive",
                 "startedAt": self.started_at, "status": status, "entrypoint": "cli"} | more  # fmt: skip
        self.registry.parent.mkdir(parents=True, exist_ok=True)
        draft = self.registry.with_suffix(".draft")
        draft.write_text(json.dumps(entry))
        draft.rename(self.registry)

    def record(self, kind: str, content: Any, **more: Any) -> Json:
        message = {"role": kind, "content": content} | more.pop("message", {})
        made = {"type": kind, "uuid": str(uuid.UUID(int=self.chance.getrandbits(128), version=4)),
                "sessionId": self.id, "timestamp": self.stamp(), "cwd": "/w/app", "version": "2.1.300",
                "message": message} | more  # fmt: skip
        self.records.append(made)
        return made

    def answer(self, content: list[Json], stop: str | None, truth: Truth | None = None) -> Json:
        id = f"msg_{self.next()}"
        counts = {"input_tokens": 4, "output_tokens": 10, "cache_read_input_tokens": 100}
        (truth or self.truth).use(4, 10, 100)
        message = {"id": id, "model": "claude-sonnet-5", "stop_reason": stop, "usage": counts}
        return self.record("assistant", content, message=message, requestId=f"req_{id}")

    def prompt(self, text: str) -> Writing:
        self.register("busy")
        append(self.path, self.record("user", text))
        self.saw("prompt", text)
        self.truth.is_now("running")
        yield

    def tool(self, command: str, ok: bool, result: str) -> Writing:
        call = f"toolu_{self.next()}"
        block = {"type": "tool_use", "id": call, "name": "Bash", "input": {"command": command}}
        append(self.path, self.answer([block], "tool_use"))
        yield
        found = {"type": "tool_result", "tool_use_id": call, "content": result, "is_error": not ok}
        append(self.path, {"type": "progress"}, self.record("user", [found]))
        self.used_tool("Bash", command, result)
        yield

    def wait(self, command: str) -> Writing:
        self.register("waiting", waitingFor="approve Bash")
        self.truth.is_now("awaiting_feedback", "permission")
        yield
        self.register("busy")
        self.truth.is_now("running")

    def say(self, text: str) -> Writing:
        append(self.path, self.answer([{"type": "text", "text": text}], "end_turn"))
        self.saw("say", text)
        self.register("idle")
        self.truth.is_now("awaiting_feedback", "idle")
        yield

    def odd(self) -> Writing:
        if self.chance.random() < 0.3:
            yield from self.child()
        if self.chance.random() < 0.3:  # compacted once more: old records come again
            append(self.path, *self.records[: len(self.records) // 2])
            yield
        if self.chance.random() < 0.2 and not self.forks:
            yield from self.fork()

    def child(self) -> Writing:
        agent, call = f"{self.chance.getrandbits(32):08x}", f"toolu_{self.next()}"
        given = {"description": "Look it up", "prompt": "Where?", "subagent_type": "Explore"}
        block = {"type": "tool_use", "id": call, "name": "Agent", "input": given}
        append(self.path, self.answer([block], "tool_use"))
        yield
        path = self.path.with_suffix("") / "subagents" / f"agent-{agent}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {"agentType": "Explore", "description": "Look it up"}
        path.with_suffix(".meta.json").write_text(json.dumps(about))
        child = Truth(f"{self.key}.{agent}", self.key, "completed")
        self.others.append(child)
        kept, self.records = self.records, []
        append(path, self.record("user", "Where?", isSidechain=True, agentId=agent))
        yield
        said = self.answer([{"type": "text", "text": "In a.py."}], "end_turn", child)
        append(path, said | {"isSidechain": True, "agentId": agent})
        child.entries += [("prompt", "Where?"), ("say", "In a.py.")]
        self.records = kept
        yield
        found = {"type": "tool_result", "tool_use_id": call, "content": "In a.py."}
        over = {"status": "completed", "agentId": agent}
        append(self.path, self.record("user", [found], toolUseResult=over))
        self.used_tool("Agent", "Look it up", "In a.py.")
        yield

    def fork(self) -> Writing:
        """The conversation is copied into a new session, which says one thing of its own."""
        self.forks += 1
        other = Claude(self.root, self.chance)
        other.process.kill()
        other.process.wait()
        copied = list(self.records)
        if not copied:
            return
        own = other.record("user", "Another way")
        append(other.path, *copied, own)
        other.truth.entries = [
            ("notice", f"Continues {self.key} ({len(copied)} records)"),
            ("prompt", "Another way"),
        ]
        self.others.append(other.truth)
        yield

    def story(self) -> Writing:
        yield from super().story()
        if self.chance.random() < 0.2:
            yield from self.end()

    def end(self) -> Writing:
        """It leaves: cleanly, or by a crash, which leaves its entry behind."""
        crashed = self.chance.random() < 0.5
        works = self.truth.attention != "idle"
        if not crashed:
            self.registry.unlink()
        self.close()
        self.truth.is_now("failed" if crashed and works else "completed")
        yield

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Codex(Session):
    """Rollouts: everything twice, totals of tokens, turns that are aborted."""

    program = "codex"

    def begin(self) -> None:
        name = f"rollout-2026-11-26T08-10-00-{self.id}.jsonl"
        self.path = self.root / "sessions" / "2026" / "11" / "26" / name
        self.totals = [0, 0, 0]
        meta = {"id": self.id, "cwd": "/w/app", "cli_version": "0.169.0", "source": "cli"}
        self.write("session_meta", **meta)
        self.write("turn_context", model="gpt-5.6", cwd="/w/app")

    def write(self, kind: str, **payload: Any) -> None:
        append(self.path, {"timestamp": self.stamp(), "type": kind, "payload": payload})

    def count(self) -> None:
        self.totals = [one + more for one, more in zip(self.totals, (110, 100, 10), strict=True)]
        given, cached, out = self.totals
        total = {"input_tokens": given, "cached_input_tokens": cached, "output_tokens": out}
        last = {"input_tokens": 110, "cached_input_tokens": 100, "output_tokens": 10}
        info = {"total_token_usage": total, "last_token_usage": last}
        self.write("event_msg", type="token_count", info=info)
        self.truth.use(10, 10, 100)

    def prompt(self, text: str) -> Writing:
        self.write("event_msg", type="task_started", turn_id=str(self.next()))
        content = [{"type": "input_text", "text": text}]
        self.write("response_item", type="message", role="user", content=content)
        self.write("event_msg", type="user_message", message=text)
        self.saw("prompt", text)
        self.truth.is_now("running")
        yield

    def tool(self, command: str, ok: bool, result: str) -> Writing:
        call = f"call_{self.next()}"
        given = json.dumps({"cmd": command})
        item = {"type": "function_call", "name": "exec_command", "arguments": given}
        self.write("response_item", **item, call_id=call)
        yield
        self.write("response_item", type="function_call_output", call_id=call, output=result)
        self.used_tool("exec_command", command, result)
        self.count()
        yield

    def say(self, text: str) -> Writing:
        content = [{"type": "output_text", "text": text}]
        self.write("response_item", type="message", role="assistant", content=content)
        self.write("event_msg", type="agent_message", message=text)
        self.count()
        yield
        self.write("event_msg", type="task_complete", last_agent_message=text)
        self.saw("say", text)
        self.truth.is_now("awaiting_feedback", "idle")
        yield

    def odd(self) -> Writing:
        if self.chance.random() < 0.3:
            self.write("compacted", message="")
            self.saw("notice", "Context compacted")
            yield
