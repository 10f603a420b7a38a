"""What one file's name or content is costs that file alone."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from tests.unit.runcast.watch.test_watching import messages, record
from tests.unit.runcast.watch.worlds import CLAUDE, CLAUDE_KEY, World

from runcast.cli.watch import _follow
from runcast.watch import line_file, memory
from runcast.watch.claude_registry import ClaudeRegistry
from runcast.watch.following import Following
from runcast.watch.starting import unknown_in


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_names_that_are_not_utf8_are_passed_over(world: World) -> None:
    world.write(world.transcript, record("u1"))
    place = os.fsencode(world.transcript.parent)
    Path(os.fsdecode(place + b"/\xff.jsonl")).write_bytes(record("x"))
    Path(os.fsdecode(place + b"/\xfe")).mkdir()
    for _ in range(2):
        watcher = world.watcher("claude")
        world.rounds(watcher, 4)
        watcher.close()
    assert messages(world) == ["u1"]
    assert list(memory.read(world.runs)) == [CLAUDE_KEY]


def test_what_cannot_be_remembered_stops_no_watcher(tmp_path: Path) -> None:
    world = World(tmp_path / os.fsdecode(b"\xff"))
    world.write(world.transcript, record("u1"))
    world.rounds(world.watcher("claude"), 4)
    world.write(world.transcript, record("u2"))
    world.rounds(world.watcher("claude"), 4)
    assert messages(world) == ["u1", "u2"]


def test_process_number_that_cannot_be_costs_its_entry_alone(world: World) -> None:
    world.register(status="idle")
    world.register(pid=1 << 40, sessionId="other")
    world.register(pid=1 << 41, sessionId="late", statusUpdatedAt=1e300)
    found = ClaudeRegistry(world.home / "claude" / "sessions").look()
    assert found is not None
    assert found[CLAUDE].is_alive
    assert not found["other"].is_alive


def test_record_with_half_an_emoji_is_said(world: World) -> None:
    world.write(world.transcript, record("u1", content="cut X").replace(b"X", rb"\ud83d"))
    watcher = world.watcher("claude")
    world.rounds(watcher, 4)
    [following] = watcher.followings.values()
    assert messages(world) == ["cut \ufffd"]
    assert not unknown_in(following.adapter, following.session)


@pytest.mark.parametrize("hours", [20, -20])
def test_clock_that_is_set_ends_no_session(world: World, hours: int) -> None:
    world.write(world.transcript, record("u1"))
    watcher = world.watcher("claude")
    world.rounds(watcher, 4)
    world.wall_shift = hours * 3600.0
    world.rounds(watcher, 4)
    world.write(world.transcript, record("u2"))
    world.rounds(watcher, 4)
    assert messages(world) == ["u1", "u2"]
    assert world.run_keys() == [CLAUDE_KEY]
    assert world.run(CLAUDE_KEY)["status"] == "running"


@pytest.mark.parametrize("minutes", [-15, 480])
def test_session_that_is_written_after_a_jump_of_the_clock_has_its_own_age(
    world: World, minutes: int
) -> None:
    """Beginning with one that was written just before the jump, and seen only after it."""
    world.idle_close_seconds = 600.0
    world.write(world.transcript, record("u1"))
    watcher = world.watcher("claude")
    world.rounds(watcher, 4)
    world.write(world.transcript, record("u2"))
    world.wall_shift = shift = minutes * 60.0
    world.rounds(watcher, 4)
    assert world.run(CLAUDE_KEY)["status"] == "running"
    world.write(world.transcript, record("u3"))
    os.utime(world.transcript, times=(time.time() + shift,) * 2)
    world.rounds(watcher, 4)
    assert world.run(CLAUDE_KEY)["status"] == "running"
    assert world.run_keys() == [CLAUDE_KEY]
    for _ in range(15):  # the clock of the wall goes on as the other one does
        world.wall_shift += 50.0
        world.at += 50.0
        world.rounds(watcher, 1)
    assert world.run(CLAUDE_KEY)["status"] == "completed"


def test_signal_that_comes_while_a_session_is_read_ends_the_watcher(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(world.transcript, record("u1"))
    watcher = world.watcher("claude")
    world.rounds(watcher, 4)
    came: list[int] = []

    def interrupted(_: object) -> None:
        came.append(signal.SIGTERM)
        if len(came) > 3:
            raise SystemExit("it goes on")
        world.at += 60.0
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Following, "stamp", interrupted)
    before = {
        each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    }
    try:
        _follow(watcher, lambda: None, None)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert came == [signal.SIGTERM]


def test_names_and_facts_without_end_are_cut(world: World) -> None:
    huge = "x" * 1_000_000
    call = {"type": "tool_use", "id": huge, "name": huge, "input": {"command": "\x00" * 100_000}}
    for record_of in (
        {"type": "user", "cwd": huge, "gitBranch": huge, "message": {"content": "Go"}},
        {"type": "assistant", "message": {"model": huge, "content": [call], "stop_reason": huge}},
        {"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": huge}]}},
        {"type": "custom-title", "customTitle": huge},
        {"type": "system", "subtype": huge},
        {"type": "system", "subtype": "compact_boundary", "compactMetadata": {"trigger": huge}},
        {"type": "user", "message": {"content": f"<task-notification><summary>{huge}</summary>"}},
        {
            "type": "assistant",
            "isApiErrorMessage": True,
            "error": huge,
            "message": {"content": huge},
        },
        {"type": huge},
    ):
        world.write(world.transcript, json.dumps(record_of).encode() + b"\n")
    world.rounds(world.watcher("claude"), 4)
    lines = (world.runs / CLAUDE_KEY / "spool.jsonl").read_bytes().splitlines()
    assert len(lines) > 7
    assert max(map(len, lines)) < 256 * 1024
    assert len((world.runs / CLAUDE_KEY / "run.json").read_bytes()) < 16 * 1024


def test_line_without_end_is_named_and_passed_over(world: World) -> None:
    world.write(world.transcript, record("u1"))
    with world.transcript.open("ab") as file:
        file.truncate(file.tell() + line_file.RECORD_BYTES + 5_000_000)  # a hole: it takes no disk
    world.write(world.transcript, b"\n" + record("u2"))
    world.rounds(world.watcher("claude"), 4)
    first, passed, last = messages(world)
    assert (first, last) == ("u1", "u2")
    assert passed == f"A record of {line_file.RECORD_BYTES + 5_000_001:,} bytes is passed over"


def test_session_whose_file_was_removed_is_over_and_forgotten(world: World) -> None:
    entry = world.register(status="idle")
    world.write(world.transcript, record("u1"))
    kept = world.transcript.with_name("kept.jsonl")
    world.write(kept, record("u1"))
    watcher = world.watcher("claude")
    world.rounds(watcher)
    world.transcript.unlink()
    world.rounds(watcher, 60)
    assert world.run(CLAUDE_KEY)["status"] != "completed", "its process lives"
    entry.unlink()
    world.rounds(watcher, 60)
    assert world.run(CLAUDE_KEY)["status"] == "completed"
    assert list(watcher.followings) == list(memory.read(world.runs)) == ["claude-kept"]


def test_file_that_is_gone_with_its_folder_may_come_back(world: World) -> None:
    world.idle_close_seconds = 0.0
    world.write(world.transcript, record("u1"))
    watcher = world.watcher("claude")
    world.rounds(watcher)
    away = world.home.with_name("away")
    world.home.rename(away)
    world.rounds(watcher, 60)
    assert list(watcher.followings) == [CLAUDE_KEY]
    away.rename(world.home)
    world.idle_close_seconds = 1e6
    world.write(world.transcript, record("u2"))
    world.rounds(watcher)
    assert messages(world, f"{CLAUDE_KEY}.r2") == ["u2"]


def test_session_in_two_folders_is_followed_where_it_goes_on(world: World) -> None:
    world.write(world.transcript, record("u1"))
    watcher = world.watcher("claude")
    world.rounds(watcher)
    copy = world.transcript.parent.with_name("-w-moved") / world.transcript.name
    world.write(copy, record("u1") + record("u2"))
    os.utime(copy, times=(time.time() + 5,) * 2)
    world.rounds(watcher, 70)
    assert messages(world) == ["u1", "u2"]
    world.write(copy, record("u3"))
    os.utime(copy, times=(time.time() + 6,) * 2)
    world.rounds(watcher)
    world.rounds(world.watcher("claude"))
    assert messages(world) == ["u1", "u2", "u3"]
    assert world.run_keys() == [CLAUDE_KEY]


def test_registry_entry_without_end_costs_its_session_alone(world: World) -> None:
    world.register(status="idle")
    place = world.home / "claude" / "sessions"
    with (place / "7.json").open("wb") as file:
        file.truncate(1 << 30)  # a hole: it takes no disk
    found = ClaudeRegistry(place, command="missing").look()
    assert found is not None
    assert list(found) == [CLAUDE]


def test_conversation_in_many_files_has_its_own_age(world: World) -> None:
    home = world.home / "openhands" / "c1"
    world.write(home / "events" / "event-00000-x.json", b'{"kind": "MessageEvent"}')
    world.write(home / "base_state.json", b'{"execution_status": "running"}')
    watcher = world.watcher("openhands")
    world.rounds(watcher, 2)
    [following] = watcher.followings.values()
    assert following.seen is not None
    assert abs(following.seen[2] / 1e9 - time.time()) < 3600
