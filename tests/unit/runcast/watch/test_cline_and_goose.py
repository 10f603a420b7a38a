"""Cline's rewritten files and goose's database."""

from __future__ import annotations

import json
import sqlite3
import weakref
from pathlib import Path
from typing import Any

import pytest
from tests.unit.runcast.watch.worlds import World

from runcast.watch import whole_files
from runcast.watch.goose_sessions import GooseSessions

TABLES = """
CREATE TABLE sessions (id TEXT PRIMARY KEY, name TEXT, session_type TEXT DEFAULT 'user', working_dir TEXT,
    updated_at TIMESTAMP, model_config_json TEXT, input_tokens INTEGER, total_tokens INTEGER,
    accumulated_input_tokens INTEGER, accumulated_output_tokens INTEGER);
CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT, role TEXT, content_json TEXT,
    created_timestamp INTEGER);
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class Cline:
    """A task's file, written again with each message."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.path = world.home / "cline" / "1795681800000" / "ui_messages.json"
        self.messages: list[dict[str, Any]] = []

    def add(self, kind: str, text: Any = "", *, ask: bool = False, **more: Any) -> None:
        word = "ask" if ask else "say"
        shown = text if isinstance(text, str) else json.dumps(text)
        ts = 1_795_681_800_000 + 1000 * len(self.messages)
        self.messages.append({"ts": ts, "type": word, word: kind, "text": shown, **more})
        self.write()

    def write(self) -> None:
        self.world.write(self.path, json.dumps(self.messages).encode(), "wb")


KEY = "cline-1795681800000"


def test_cline_task_is_said_once_and_waits_when_it_asks(world: World) -> None:
    """The watcher is restarted after every message."""
    task = Cline(world)

    def attention() -> str | None:
        world.rounds(world.watcher("cline"), 4)
        found = world.run(KEY)["attention"]
        return f"{found['kind']}: {found['summary']}" if found else None

    task.add("task", "Fix the login test")
    request = {"request": "…", "tokensIn": 10, "tokensOut": 5, "cacheReads": 90, "cost": 0.01}
    task.add("api_req_started", {"request": "…"}, modelInfo={"modelId": "claude-sonnet-5"})
    assert attention() is None
    task.add("text", "I'll run", partial=True)
    attention()
    task.messages[-1] |= {"text": "I'll run it.", "partial": False}
    task.messages[1]["text"] = json.dumps(request)
    task.add("command", "pytest -q", ask=True)
    assert attention() == "permission: command: pytest -q"
    task.add("command_output", "1 failed", ask=True)
    assert attention() is None
    task.add("task_progress", "- [x] run\n- [ ] mend")
    task.add("followup", {"question": "Which time zone?", "options": ["UTC"]}, ask=True)
    assert attention() == "question: Which time zone?"
    task.add("user_feedback", "UTC")
    task.add("tool", {"tool": "editedExistingFile", "path": "a.py", "diff": "…"})
    task.add("completion_result", "Mended.")
    task.add("completion_result", "", ask=True)
    task.add("checkpoint_created")
    assert attention() == "idle: Mended."
    said = [(each["event_type"], each["message"]) for each in world.entries(KEY)]
    assert said == [
        ("prompt", "Fix the login test"),
        ("say", "I'll run it."),
        ("tool", "command: pytest -q"),
        ("tool_result", "1 failed"),
        ("plan", "1 of 2 done"),
        ("say", "Which time zone?"),
        ("prompt", "UTC"),
        ("tool", "editedExistingFile: a.py"),
        ("tool_result", ""),
        ("say", "Mended."),
    ]
    run = world.run(KEY)
    assert run["name"] == "Fix the login test"
    assert run["usage"]["by_model"]["claude-sonnet-5"] == {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_tokens": 90,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
        "requests": 1,
        "cost_usd": 0.01,
        "cost_by": "agent",
    }


def test_cline_messages_of_any_shape_stop_nothing(world: World) -> None:
    task = Cline(world)
    task.messages = [
        None,  # type: ignore[list-item]
        {"type": "say"},
        {"type": "ask", "ask": ["x"], "text": 5},
        {"type": "say", "say": "tool", "text": "no JSON", "ts": "never"},
        {"type": "say", "say": "use_mcp_server", "text": '{"arguments": "{"}', "modelInfo": []},
        {"type": "say", "say": "of_another_version", "text": "?"},
    ]
    task.add("task", "Still here")
    world.rounds(world.watcher("cline"))
    assert world.entries(KEY)[-1]["message"] == "Still here"
    task.messages.pop()  # a checkpoint was restored
    task.add("task", "Somewhere else")
    world.write(task.path, b"[{", "wb")
    world.rounds(world.watcher("cline"))
    task.write()
    world.rounds(world.watcher("cline"))
    assert [each["message"] for each in world.entries(KEY)].count("Still here") == 1


class Goose:
    """A database as goose keeps it."""

    def __init__(self, world: World) -> None:
        path = world.home / "goose" / "sessions.db"
        path.parent.mkdir(parents=True)
        self.connection = sqlite3.connect(path, isolation_level=None)
        weakref.finalize(self, self.connection.close)  # Python 3.13 warns of one that is left open
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.executescript(TABLES)
        self.kept: list[tuple[str, str, int]] = []

    def session(self, id: str, **more: Any) -> None:
        row = {"name": "New session", "working_dir": "/w/app", "session_type": "user"} | more
        names = ", ".join(("id", *row))
        marks = ", ".join("?" * (len(row) + 1))
        values = (id, *row.values())
        self.connection.execute(f"INSERT INTO sessions ({names}) VALUES ({marks})", values)

    def add(self, role: str, *content: dict[str, Any]) -> None:
        self.kept.append((role, json.dumps(content), 1_795_681_800 + len(self.kept)))
        self._insert(self.kept[-1])

    def _insert(self, message: tuple[str, str, int]) -> None:
        query = "INSERT INTO messages VALUES (NULL, '20261126_1', ?, ?, ?)"
        self.connection.execute(query, message)
        self.connection.execute("UPDATE sessions SET updated_at = datetime('now')")

    def compact(self) -> None:
        """The conversation is written again."""
        self.connection.execute("DELETE FROM messages")
        for message in self.kept:
            self._insert(message)


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def test_goose_session_is_said_once_and_counts_its_tokens(world: World) -> None:
    goose = Goose(world)
    goose.session("20261126_1", model_config_json='{"model_name": "gpt-6"}')
    goose.session("20261126_2", session_type="hidden")
    goose.add("user", text("Fix the login test"))
    call = {"status": "success", "value": {"name": "shell", "arguments": {"command": "pytest -q"}}}
    goose.add("assistant", {"type": "toolRequest", "id": "c1", "toolCall": call})
    watcher = world.watcher("goose")
    world.rounds(watcher)
    key = "goose-20261126_1"
    assert world.run(key)["attention"] is None
    found = {"status": "success", "value": {"content": [text("1 failed")], "isError": True}}
    goose.add("user", {"type": "toolResponse", "id": "c1", "toolResult": found})
    goose.compact()
    world.rounds(watcher)
    goose.add("assistant", {"type": "thinking", "thinking": "Hm."}, text("One test fails."))
    goose.compact()
    used = "UPDATE sessions SET accumulated_input_tokens = 900, accumulated_output_tokens = 70"
    goose.connection.execute(used)
    world.rounds(world.watcher("goose"))
    said = [(each["event_type"], each["message"]) for each in world.entries(key)]
    assert said == [
        ("prompt", "Fix the login test"),
        ("tool", "shell: pytest -q"),
        ("tool_result", "1 failed"),
        ("think", "Hm."),
        ("say", "One test fails."),
    ]
    assert world.entries(key)[2]["payload"]["ok"] is False
    run = world.run(key)
    assert (run["name"], run["attention"]["kind"]) == ("Fix the login test", "idle")
    usage = run["usage"]["by_model"]["gpt-6"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["requests"]) == (900, 70, 2)
    assert world.run_keys() == [key]


def test_goose_says_whom_it_asks_and_meets_what_it_does_not_know(world: World) -> None:
    goose = Goose(world)
    goose.session("20261126_1")
    goose.add("user", text("Go"))
    asked = {"actionType": "toolConfirmation", "id": "1", "toolName": "shell", "arguments": {}}
    goose.add("assistant", {"type": "actionRequired", "data": asked})
    goose._insert(("assistant", "no JSON", 5))
    goose._insert(("assistant", '[{"type": "of_another_version"}, 7]', 6))
    watcher = world.watcher("goose")
    world.rounds(watcher)
    assert world.run("goose-20261126_1")["attention"]["summary"] == "shell"
    goose.add("user", text("Go on"))
    world.rounds(watcher)
    assert world.run("goose-20261126_1")["attention"] is None


def test_places_follow_the_agents_variables(tmp_path: Path) -> None:
    cline = whole_files.cline()
    assert cline.roots({"CLINE_DIR": "/c"}, tmp_path)[0] == Path("/c/data/tasks")
    assert cline.roots({}, tmp_path)[0] == tmp_path / ".cline/data/tasks"
    goose = GooseSessions()
    assert goose.roots({"GOOSE_PATH_ROOT": "/g"}, tmp_path) == [Path("/g/data/sessions")]
    assert goose.roots({"XDG_DATA_HOME": "/x"}, tmp_path) == [Path("/x/goose/sessions")]
