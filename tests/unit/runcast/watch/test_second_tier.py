"""Agents whose sessions aren't files that only grow, and those that tell little."""

from __future__ import annotations

import json
import os
import sqlite3
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
from tests.unit.runcast.watch.worlds import CODEX_KEY, World, expected, wanted

from runcast.agents.said import State
from runcast.agents.tally import Tally
from runcast.watch import zstd_file
from runcast.watch.claude_registry import ClaudeRegistry

KEY = "opencode-ses_1"
TABLES = """
CREATE TABLE session (id text PRIMARY KEY, parent_id text, title text, time_updated integer);
CREATE TABLE message (id text PRIMARY KEY, session_id text, data text);
CREATE TABLE part (id text PRIMARY KEY, message_id text, session_id text, time_updated integer, data text);
"""


class Opencode:
    """A database as opencode keeps it."""

    def __init__(self, world: World) -> None:
        path = world.home / "opencode" / "opencode.db"
        path.parent.mkdir(parents=True)
        self.connection = sqlite3.connect(path, isolation_level=None)
        weakref.finalize(self, self.connection.close)  # Python 3.13 warns of one that is left open
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.executescript(TABLES)
        self.at = round(time.time() * 1000) - 600_000

    def session(self, id: str, title: str, parent: str | None = None) -> None:
        row = (id, parent, title, self.at)
        self.connection.execute("INSERT INTO session VALUES (?, ?, ?, ?)", row)

    def message(self, id: str, role: str, session: str = "ses_1") -> None:
        data = {"role": role, "modelID": "claude-sonnet-5", "time": {"created": self.at}}
        row = (id, session, json.dumps(data))
        self.connection.execute("INSERT INTO message VALUES (?, ?, ?)", row)

    def part(self, id: str, message: str, session: str = "ses_1", **data: Any) -> None:
        self.at += 1000
        row = (id, message, session, self.at, json.dumps(data))
        self.connection.execute("INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?, ?)", row)
        self.connection.execute(
            "UPDATE session SET time_updated = ? WHERE id = ?", (self.at, session)
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_opencode_session_with_its_child(world: World) -> None:
    database = Opencode(world)
    database.session("ses_1", "Fix the login test")
    database.session("ses_2", "Look it up", "ses_1")
    database.message("m1", "user")
    database.part("p1", "m1", type="text", text="Fix it")
    database.message("m2", "assistant")
    given = {"command": "pytest -q"}
    tool = {"type": "tool", "callID": "c1", "tool": "bash"}
    started = {"start": database.at}
    database.part("p2", "m2", **tool, state={"status": "running", "input": given, "time": started})
    watcher = world.watcher("opencode")
    world.rounds(watcher)
    over = {"status": "completed", "input": given, "output": "1 failed", "time": started}
    database.part("p2", "m2", **tool, state=over)
    world.rounds(world.watcher("opencode"))
    tokens = {"input": 4, "output": 90, "reasoning": 10, "cache": {"read": 18000, "write": 1200}}
    database.part("p3", "m2", type="text", text="One test fails.", time={"start": 1, "end": 2})
    database.part("p4", "m2", type="step-finish", reason="stop", cost=0.02, tokens=tokens)
    database.message("m3", "user", "ses_2")
    database.part("p5", "m3", "ses_2", type="text", text="Where?")
    watcher = world.watcher("opencode")
    world.rounds(watcher)
    said = [(each["event_type"], each["message"]) for each in world.entries(KEY)]
    assert said == [
        ("prompt", "Fix it"),
        ("tool", "bash: pytest -q"),
        ("tool_result", "1 failed"),
        ("say", "One test fails."),
    ]
    run = world.run(KEY)
    assert (run["name"], run["status"]) == ("Fix the login test", "awaiting_feedback")
    assert run["attention"]["kind"] == "idle"
    usage = run["usage"]
    assert (usage["cost_usd"], usage["cost_by"], usage["output_tokens"]) == (0.02, "agent", 100)
    child = world.run("opencode-ses_2")
    assert (child["parent_key"], child["agent_type"]) == (KEY, "SUBAGENT")


def test_database_that_cannot_be_read_stops_nothing(world: World) -> None:
    path = world.home / "opencode" / "opencode.db"
    world.write(path, b"no database")
    world.copy("codex")
    world.rounds(world.watcher())
    assert all(key.startswith("codex-") for key in world.run_keys())


def test_long_session_of_a_database_is_read_to_its_end(world: World) -> None:
    database = Opencode(world)
    database.session("ses_1", "Long")
    database.message("m1", "user")
    for number in range(120):
        text = f"{number} {'x' * 50_000}"
        database.part(f"p{number:03}", "m1", type="text", text=text)
    world.rounds(world.watcher("opencode"))
    said = [each["message"].split()[0] for each in world.entries(KEY)]
    assert said == [str(number) for number in range(120)]


def test_part_that_a_clock_which_went_back_wrote_is_said(world: World) -> None:
    database = Opencode(world)
    database.session("ses_1", "Clock")
    database.message("m1", "user")
    database.part("p2", "m1", type="text", text="before")
    watcher = world.watcher("opencode")
    world.rounds(watcher)
    database.at -= 3_600_000
    database.part("p1", "m1", type="text", text="after")
    world.rounds(watcher)
    assert [each["message"] for each in world.entries(KEY)] == ["before", "after"]


def test_reading_leaves_nothing_beside_a_database(world: World) -> None:
    database = Opencode(world)
    database.session("ses_1", "Closed")
    database.message("m1", "user")
    database.part("p1", "m1", type="text", text="Go")
    database.connection.close()
    place = world.home / "opencode"
    assert [path.name for path in place.iterdir()] == ["opencode.db"]
    world.rounds(world.watcher("opencode"))
    assert [path.name for path in place.iterdir()] == ["opencode.db"]
    assert [each["message"] for each in world.entries(KEY)] == ["Go"]


def test_database_that_is_locked_is_read_once_it_is_free(world: World) -> None:
    database = Opencode(world)
    database.connection.execute("PRAGMA journal_mode = DELETE")
    database.session("ses_1", "Locked")
    database.message("m1", "user")
    database.part("p1", "m1", type="text", text="Go")
    database.connection.execute("BEGIN EXCLUSIVE")
    database.connection.execute("UPDATE session SET title = 'Free'")
    watcher = world.watcher("opencode")
    assert not watcher.round()
    database.connection.execute("COMMIT")
    world.rounds(watcher)
    assert world.run(KEY)["name"] == "Free"


def test_cursor_transcript(world: World) -> None:
    path = world.home / "cursor" / "projects" / "p" / "agent-transcripts" / "s1" / "s1.jsonl"
    call = {"type": "tool_use", "name": "Shell", "input": {"command": "pytest -q"}}
    records = [
        {"role": "user", "message": {"content": [{"type": "text", "text": "Fix it"}]}},
        {"role": "assistant", "message": {"content": [call, {"type": "text", "text": "Done."}]}},
        {"type": "turn_ended"},
    ]
    world.write(path, b"".join(json.dumps(each).encode() + b"\n" for each in records))
    world.rounds(world.watcher("cursor"))
    said = [(each["event_type"], each["message"]) for each in world.entries("cursor-s1")]
    assert said == [("prompt", "Fix it"), ("tool", "Shell: pytest -q"), ("say", "Done.")]
    assert world.run("cursor-s1")["attention"]["kind"] == "idle"


def test_large_requests_are_reported_one_by_one(world: World) -> None:
    """Two requests of 600,000 tokens aren't priced as one of 1.2 million: what came since the report before
    is one request."""
    path = world.home / "claude" / "projects" / "p" / "s1.jsonl"
    sizes = [50, 600_000, 600_000, 60]
    for number, size in enumerate(sizes):
        message = {"id": f"m{number}", "model": "claude-sonnet-5", "content": []}
        message |= {"usage": {"input_tokens": size, "output_tokens": 1}}
        whole = {"type": "assistant", "uuid": f"u{number}", "sessionId": "s1", "message": message}
        world.write(path, json.dumps(whole).encode() + b"\n")
    world.rounds(world.watcher("claude"))
    reported = [
        each["data"]["usage"]["input_tokens"]
        for each in world.spool("claude-s1")
        if "usage" in each["data"]
    ]
    steps = [after - before for before, after in zip([0, *reported], reported, strict=False)]
    assert [step for step in steps if step] == sizes


def test_request_counts_once_whatever_comes_again() -> None:
    tally = Tally()
    assert tally.put("r1", "m", (5, 1, 0, 0, 0))
    assert not tally.put("r1", "m", (5, 1, 0, 0, 0))
    assert tally.put("r1", "m", (5, 9, 0, 0, 0))
    assert tally.usage()["output_tokens"] == 9
    assert tally.usage()["requests"] == 1


def test_rollout_that_was_compressed_goes_on_where_it_was(world: World) -> None:
    world.copy("codex")
    day = world.home / "codex" / "sessions" / "2026" / "11" / "26"
    path = next(day.glob("*0a.jsonl"))
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:9]))
    watcher = world.watcher("codex")
    world.rounds(watcher)
    zstd = zstd_file.module()
    assert zstd is not None
    path.with_name(path.name + ".zst").write_bytes(zstd.compress(content))
    path.unlink()
    world.rounds(watcher, 24)
    world.rounds(world.watcher("codex"), 24)
    assert world.entries(CODEX_KEY) == wanted(expected("codex")["entries"])
    usage = world.run(CODEX_KEY)["usage"]
    assert usage["output_tokens"] == expected("codex")["usage"]["output_tokens"]


def test_registry_that_is_not_understood_is_asked_for(tmp_path: Path) -> None:
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    (sessions / "1.json").write_text('{"pid": 1, "format": "of a later version"}')
    listed = [
        {
            "pid": os.getpid(),
            "sessionId": "s1",
            "status": "waiting",
            "waitingFor": "sandbox request",
        },
        {"pid": os.getpid(), "sessionId": "s2", "status": "busy"},
        {"pid": 2**22 - 7, "sessionId": "s3", "status": "busy"},
    ]
    program = tmp_path / "claude"
    program.write_text(f"#!/bin/sh\necho '{json.dumps(listed)}'\n")
    program.chmod(0o755)
    found = ClaudeRegistry(sessions, command=str(program)).look()
    assert found is not None
    waiting, busy, dead = (found[each] for each in ("s1", "s2", "s3"))
    assert waiting.state is not None
    assert (waiting.state.kind, busy.state, dead.is_alive) == ("permission", State(), False)
    nobody = ClaudeRegistry(sessions, command=str(tmp_path / "missing")).look()
    assert nobody == {}


def test_trajectory_that_is_rewritten_at_each_step(world: World) -> None:
    path = world.home / "mini-swe" / "fix.traj.json"
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "Fix it"}]
    whole: dict[str, Any] = {"messages": messages, "info": {}}
    watcher = world.watcher("mini-swe")
    for step in range(3):
        messages.append({"role": "assistant", "content": f"say {step}"})
        messages.append({"role": "user", "content": f"saw {step}"})
        stats = {"instance_cost": 0.01 * (step + 1), "api_calls": step + 1}
        whole["info"] = {"model_stats": stats, "exit_status": "Submitted" if step == 2 else ""}
        world.write(path, json.dumps(whole).encode(), "wb")
        world.rounds(watcher)
        if step == 1:
            watcher = world.watcher("mini-swe")
            world.write(path, b'{"messages": [', "wb")
            world.rounds(watcher)
    said = [each["message"] for each in world.entries("mini-swe-fix")]
    assert said == ["Fix it", "say 0", "saw 0", "say 1", "saw 1", "say 2", "saw 2"]
    run = world.run("mini-swe-fix")
    assert run["status"] == "completed"
    assert (run["usage"]["cost_usd"], run["usage"]["requests"]) == (0.03, 3)


def test_conversation_that_waits_for_a_confirmation(world: World) -> None:
    home = world.home / "openhands" / "c1"
    call = {"tool_name": "terminal", "tool_call_id": "t1"}
    events = [
        {"kind": "MessageEvent", "source": "user", "llm_message": {"content": "Fix it"}},
        {"kind": "ActionEvent", **call, "action": {"command": "pytest -q"}},
    ]
    for number, event in enumerate(events):
        name = f"event-{number:05}-x.json"
        world.write(home / "events" / name, json.dumps(event).encode())
    state = {"execution_status": "waiting_for_confirmation"}
    world.write(home / "base_state.json", json.dumps(state).encode())
    watcher = world.watcher("openhands")
    world.rounds(watcher)
    run = world.run("openhands-c1")
    assert (run["attention"]["kind"], run["attention"]["summary"]) == (
        "permission",
        "terminal: pytest -q",
    )
    observed = {"kind": "ObservationEvent", **call, "observation": {"content": "ok"}}
    world.write(home / "events" / "event-00002-x.json", json.dumps(observed).encode())
    world.write(home / "base_state.json", b'{"execution_status": "finished"}', "wb")
    world.rounds(watcher)
    assert [each["event_type"] for each in world.entries("openhands-c1")] == [
        "prompt",
        "tool",
        "tool_result",
    ]
    assert world.run("openhands-c1")["status"] == "completed"
