"""Following sessions: each becomes a run, with its entries, states, usage and sub-agents."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.unit.runcast.watch.worlds import (
    CLAUDE,
    CLAUDE_KEY,
    CODEX_CHILD_KEY,
    CODEX_KEY,
    DATA,
    World,
    expected,
    wanted,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def record(uuid: str, kind: str = "user", **more: Any) -> bytes:
    content = more.pop("content", uuid)
    message = {"role": kind, "content": content} | more.pop("message", {})
    whole = {
        "type": kind,
        "uuid": uuid,
        "sessionId": CLAUDE,
        "timestamp": "2026-11-26T09:00:00.000Z",
        "message": message,
    } | more
    return json.dumps(whole).encode() + b"\n"


def answer(uuid: str, text: str = "Done.", **message: Any) -> bytes:
    content = [{"type": "text", "text": text}]
    given = {"stop_reason": "end_turn", "model": "claude-sonnet-5"} | message
    return record(uuid, "assistant", content=content, message=given)


def messages(world: World, key: str = CLAUDE_KEY) -> list[str]:
    return [entry["message"] for entry in world.entries(key)]


def test_claude_session_with_its_sub_agent(world: World) -> None:
    world.copy("claude")
    (world.home / "claude" / "sessions" / "1-busy.json").rename(world.home / "aside.json")
    world.rounds(world.watcher("claude"), 75)
    want = expected("claude")
    assert world.entries(CLAUDE_KEY) == want["entries"]
    run = world.run(CLAUDE_KEY)
    assert {name: run[name] for name in ("key", "name", "agent_name", "agent_type", "phase")} == {
        name: want["run"][name] for name in ("key", "name", "agent_name", "agent_type", "phase")
    }
    assert run["steps"] == []
    usage = run["usage"]
    assert usage["requests"] == 4
    assert {name: usage[name] for name in want["usage"] if name != "by_model"} == {
        name: value for name, value in want["usage"].items() if name != "by_model"
    }
    child = want["child"]
    assert world.entries(child["key"]) == wanted(child["entries"])
    shown = world.run(child["key"])
    assert shown["parent_key"] == child["parent"]
    assert [shown[name] for name in ("name", "agent_name", "agent_type", "status")] == [
        child[name] for name in ("name", "agent_name", "agent_type", "status")
    ]


def test_codex_threads(world: World) -> None:
    world.copy("codex")
    world.rounds(world.watcher())
    want = expected("codex")
    assert world.entries(CODEX_KEY) == wanted(want["entries"])
    run = world.run(CODEX_KEY)
    assert (run["status"], run["attention"]["kind"]) == ("awaiting_feedback", "idle")
    assert world.entries(CODEX_CHILD_KEY) == wanted(want["child"]["entries"])
    child = world.run(CODEX_CHILD_KEY)
    assert (child["parent_key"], child["name"], child["agent_name"]) == (
        CODEX_KEY,
        "Ada",
        "reviewer",
    )


def test_registry_says_who_waits(world: World) -> None:
    world.copy("claude")
    for path in list((world.home / "claude" / "sessions").iterdir()):
        path.unlink()
    watcher = world.watcher("claude")
    states = []
    for name in ("1-busy", "2-waiting", "3-waiting-input", "4-idle"):
        entry = json.loads((DATA / "claude" / "sessions" / f"{name}.json").read_bytes())
        kept = {member: entry.get(member) for member in ("status", "waitingFor")}
        world.register(**kept, statusUpdatedAt=entry["statusUpdatedAt"])
        world.rounds(watcher, 4)
        states.append(world.run(CLAUDE_KEY)["attention"])
    assert [each and each["kind"] for each in states] == [None, "permission", "question", "idle"]
    assert states[1]["summary"] == "Bash"
    assert states[1]["since"].startswith("2026-")
    agent = world.run(CLAUDE_KEY)["metadata"]["agent"]
    assert (agent["pid"], agent["entrypoint"], agent["host"]) == (os.getpid(), "cli", "mac-1")


def test_error_that_stopped_the_turn_is_said_though_the_process_rests(world: World) -> None:
    world.copy("claude")
    failed_at = 1_795_680_055_000
    world.register(status="idle", statusUpdatedAt=failed_at + 40)
    world.rounds(world.watcher("claude"), 4)
    assert world.run(CLAUDE_KEY)["attention"]["kind"] == "error"


def test_process_of_another_start_is_not_the_sessions(world: World) -> None:
    world.copy("claude")
    world.register(status="waiting", waitingFor="approve Bash", startedAt=1_000_000_000_000)
    world.rounds(world.watcher("claude"))
    assert world.run(CLAUDE_KEY)["status"] != "awaiting_feedback"


def test_crashed_process_fails_a_run_that_worked(world: World) -> None:
    world.write(world.transcript, record("u1"))
    world.register(pid=2**22 - 7, status="busy")
    world.rounds(world.watcher("claude"))
    run = world.run(CLAUDE_KEY)
    assert (run["status"], run["error"]) == ("failed", "The process ended while it worked")


def test_session_whose_process_left_completes_and_goes_on_as_the_next_run(world: World) -> None:
    world.write(world.transcript, record("u1") + answer("a1"))
    entry = world.register(status="idle")
    watcher = world.watcher("claude")
    world.rounds(watcher)
    assert world.run(CLAUDE_KEY)["attention"]["kind"] == "idle"
    entry.unlink()
    world.rounds(watcher)
    assert world.run(CLAUDE_KEY)["status"] == "completed"
    world.write(world.transcript, b'{"type":"last-prompt","sessionId":"x"}\n')
    world.rounds(watcher)
    assert world.run_keys() == [CLAUDE_KEY]
    world.write(world.transcript, record("u2") + answer("a2", usage={"input_tokens": 5}))
    world.rounds(world.watcher("claude"))
    assert messages(world) == ["u1", "Done."]
    again = f"{CLAUDE_KEY}.r2"
    assert messages(world, again) == ["u2", "Done."]
    run = world.run(again)
    assert run["metadata"]["agent"]["resumes"] == CLAUDE_KEY
    assert run["usage"]["input_tokens"] == 5


def test_silent_session_completes(world: World) -> None:
    world.write(world.transcript, record("u1"))
    os.utime(world.transcript, (1, 1))
    world.rounds(world.watcher("claude"))
    assert world.run(CLAUDE_KEY)["status"] == "completed"


def test_old_session_is_taken_when_it_grows(world: World) -> None:
    world.since_seconds = 3600.0
    world.write(world.transcript, record("u1"))
    os.utime(world.transcript, (1, 1))
    watcher = world.watcher("claude")
    world.rounds(watcher)
    assert not world.runs.is_dir() or world.run_keys() == []
    world.write(world.transcript, record("u2"))
    world.rounds(watcher)
    assert messages(world) == ["u1", "u2"]


def test_nothing_is_waited_for_because_a_tool_takes_long(world: World) -> None:
    call = [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "make"}}]
    world.write(world.transcript, record("u1") + record("a1", "assistant", content=call))
    watcher = world.watcher("claude")
    world.rounds(watcher, 700)
    run = world.run(CLAUDE_KEY)
    assert (run["status"], run["attention"]) == ("running", None)
    progress = [each["data"] for each in world.spool(CLAUDE_KEY) if each["type"] == "run:progress"]
    assert [each["message"] for each in progress] == ["Bash: make"]


def test_large_record_keeps_head_and_tail(world: World) -> None:
    text = "".join(f"line {number}\n" for number in range(500_000))
    result = [{"type": "tool_result", "tool_use_id": "t1", "content": text}]
    world.write(world.transcript, record("u1", content=result) + record("u2"))
    world.rounds(world.watcher("claude"))
    shown, after = world.entries(CLAUDE_KEY)
    assert shown["message"].startswith("line 0\n")
    assert shown["message"].endswith("line 499999\n")
    assert "bytes left out" in shown["message"]
    assert shown["payload"]["bytes"] == len(text)
    assert len(shown["message"]) < 9_000
    assert after["message"] == "u2"


def test_replaced_file_is_read_again_and_nothing_comes_twice(world: World) -> None:
    world.write(world.transcript, record("u1") + record("u2"))
    watcher = world.watcher("claude")
    world.rounds(watcher)
    world.write(world.transcript.with_suffix(".new"), record("u1") + record("u2") + record("u3"))
    world.transcript.with_suffix(".new").rename(world.transcript)
    world.rounds(watcher)
    assert messages(world) == ["u1", "u2", "u3"]
    world.write(world.transcript, record("u3") + record("u4"), "wb")
    world.rounds(world.watcher("claude"))
    assert messages(world) == ["u1", "u2", "u3", "u4"]


def test_fork_leaves_out_what_it_copied(world: World) -> None:
    world.write(world.transcript, record("00000000-0000-4000-8000-0000000000aa") + record("b"))
    other = "7f0c2b1e-5a34-4d0e-9a77-0b6c1d2e3f41"
    copied = [{"uuid": "00000000-0000-4000-8000-0000000000aa"}, {"uuid": "c"}]
    lines = [record(each["uuid"], sessionId=other) for each in copied]
    foreign = record("d", sessionId=CLAUDE)
    earlier = world.transcript.stat().st_mtime - 60
    os.utime(world.transcript, (earlier, earlier))
    world.write(world.transcript.with_name(f"{other}.jsonl"), lines[0] + foreign + lines[1])
    world.rounds(world.watcher("claude"))
    assert messages(world, f"claude-{other}") == [f"Continues {CLAUDE_KEY} (2 records)", "c"]


def test_original_is_known_though_its_fork_was_written_before_it_last(world: World) -> None:
    """Both are found at once: the fork kept the name of its original in what it copied."""
    other = "7f0c2b1e-5a34-4d0e-9a77-0b6c1d2e3f41"
    first = record("00000000-0000-4000-8000-0000000000aa")
    path = world.transcript.with_name(f"{other}.jsonl")
    world.write(path, first + record("c", sessionId=other))
    earlier = path.stat().st_mtime - 60
    os.utime(path, (earlier, earlier))
    world.write(world.transcript, first + record("b"))
    world.rounds(world.watcher("claude"))
    assert messages(world)[1:] == ["b"]
    assert messages(world, f"claude-{other}") == [f"Continues {CLAUDE_KEY} (1 records)", "c"]


def test_content_none_shows_no_text(world: World) -> None:
    world.content = "none"
    world.copy("claude", "codex", "gemini", "qwen", "copilot")
    world.rounds(world.watcher(), 75)
    everything = b"".join(path.read_bytes() for path in world.runs.rglob("*") if path.is_file())
    for text in (
        "login",
        "pytest -q",
        "clock",
        "Which",
        "token is",
        "auth.py",
        "passes",
        "Looks right",
    ):
        assert text.encode() not in everything, text
    tools = [each for each in world.entries(CLAUDE_KEY) if each["event_type"] == "tool"]
    assert tools[0]["payload"] == {"tool": "Bash", "call_id": "toolu_1"}


def test_secrets_are_left_out(world: World) -> None:
    secret = "sk-" + "ant-" + "a1B2" * 8
    call = [{"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": f"A={secret} x"}}]
    path = "/srv/" + "gh" + "p_" + "a" * 36 + "/x"
    world.write(
        world.transcript,
        record("u1", content=f"key {secret}, see {path}") + record("a1", "assistant", content=call),
    )
    world.rounds(world.watcher("claude"))
    everything = (world.runs / CLAUDE_KEY / "spool.jsonl").read_text()
    assert secret not in everything
    assert path in everything
    assert world.entries(CLAUDE_KEY)[1]["payload"]["input"]["command"] == "A=[redacted] x"


def test_only_this_users_own_files_are_read(world: World) -> None:
    world.write(world.home / "elsewhere.jsonl", record("u1"))
    world.transcript.parent.mkdir(parents=True)
    world.transcript.symlink_to(world.home / "elsewhere.jsonl")
    os.mkfifo(world.transcript.with_name("fifo.jsonl"))
    world.rounds(world.watcher("claude"))
    assert not world.runs.is_dir() or world.run_keys() == []


def test_hostile_names_make_safe_keys(world: World) -> None:
    name = "x..\\ é" + "y" * 150
    world.write(world.transcript.with_name(f"{name}.jsonl"), record("u1", sessionId=name))
    world.rounds(world.watcher("claude"))
    [key] = world.run_keys()
    assert len(key) <= 128
    assert key.startswith("claude-x..---yyy")


def test_what_is_not_known_changes_nothing(world: World) -> None:
    odd = [
        b'{"type":"user"}\n',
        b'{"type":"assistant","uuid":"q","message":"text"}\n',
        b"null\n",
        b"[1]\n",
        b"not json\n",
        b"\xff\xfe\n",
        b'{"type":{"a":1}}\n',
        b'{"type":"user","uuid":7,"message":{"content":[1,{"type":"new"}]}}\n',
        b'{"type":"brand-new","uuid":"z"}\n',
        b"\n",
    ]
    world.write(world.transcript, record("u1") + b"".join(odd) + record("u2"))
    world.rounds(world.watcher("claude"))
    assert messages(world) == ["u1", "u2"]


def test_runs_are_readable_by_their_owner_alone(world: World) -> None:
    world.write(world.transcript, record("u1"))
    world.rounds(world.watcher("claude"))
    for path in (world.runs / CLAUDE_KEY, *(world.runs / CLAUDE_KEY).iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_git_ignores_a_directory_of_runs_that_the_watcher_makes(world: World) -> None:
    world.write(world.transcript, record("u1"))
    world.rounds(world.watcher("claude"), 4)
    assert (world.runs / ".gitignore").read_text() == "*\n"


def test_session_that_exec_reports_is_left_to_it(world: World) -> None:
    directory = world.runs / "nightly"
    directory.mkdir(parents=True)
    (directory / "run.json").write_text("{}")
    update = {"type": "run:updated", "data": {"aliases": [CLAUDE_KEY]}}
    (directory / "spool.jsonl").write_text(json.dumps(update) + "\n")
    world.write(world.transcript, record("u1"))
    world.rounds(world.watcher("claude"))
    assert world.run_keys() == ["nightly"]


def test_two_terminals_in_one_session(world: World) -> None:
    watcher = world.watcher("claude")
    for number in range(6):
        world.write(world.transcript, record(f"u{number}", parentUuid=f"u{number - 2}"))
        world.rounds(watcher, 1)
    assert messages(world) == [f"u{number}" for number in range(6)]
