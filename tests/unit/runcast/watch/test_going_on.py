"""Sessions that go on: after their recorded end, in a replaced file, after another program's run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.unit.runcast.watch.test_watching import answer, messages, record
from tests.unit.runcast.watch.worlds import CLAUDE, CLAUDE_KEY, World

from runcast._recording import writers
from runcast._support import times

SECOND = f"{CLAUDE_KEY}.r2"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def copilot(kind: str, number: int, **data: Any) -> bytes:
    at = f"2026-11-26T09:00:{number:02}.000Z"
    whole = {"type": kind, "data": data, "id": f"{number}", "timestamp": at}
    return json.dumps(whole).encode() + b"\n"


def test_session_that_goes_on_after_its_recorded_end_is_one_more_run(world: World) -> None:
    path = world.home / "copilot" / "session-state" / "s1" / "events.jsonl"
    world.write(path, copilot("user.message", 1, content="u1"))
    world.write(path, copilot("session.shutdown", 2, shutdownType="routine"))
    watcher = world.watcher("copilot")
    world.rounds(watcher, 4)
    assert world.run("copilot-s1")["status"] == "completed"
    for number in range(3, 6):
        world.write(path, copilot("user.message", number, content=f"u{number}"))
        world.rounds(watcher, 4)
    assert world.run_keys() == ["copilot-s1", "copilot-s1.r2"]
    assert messages(world, "copilot-s1.r2") == ["u3", "u4", "u5"]
    assert world.run("copilot-s1.r2")["status"] != "completed"


def test_sub_agent_that_goes_on_after_its_end_is_one_more_run(world: World) -> None:
    path = world.transcript.with_suffix("") / "subagents" / "agent-a1.jsonl"
    call = [{"type": "tool_use", "id": "t1", "name": "Agent", "input": {"prompt": "look"}}]
    over = [{"type": "tool_result", "tool_use_id": "t1", "content": "found"}]
    told = {"agentId": "a1", "status": "completed"}
    world.write(world.transcript, record("u1") + record("a1", "assistant", content=call))
    world.write(path, record("c1"))
    watcher = world.watcher("claude")
    world.rounds(watcher, 4)
    world.write(world.transcript, record("r1", content=over, toolUseResult=told))
    world.rounds(watcher, 4)
    child = f"{CLAUDE_KEY}.a1"
    assert world.run(child)["status"] == "completed"
    for number in range(2, 5):
        world.write(path, record(f"c{number}"))
        world.rounds(watcher, 4)
    assert [key for key in world.run_keys() if key.startswith(child)] == [child, f"{child}.r2"]
    assert messages(world, f"{child}.r2") == ["c2", "c3", "c4"]


def test_original_of_a_fork_stays_itself_when_it_is_read_again(world: World) -> None:
    first = "00000000-0000-4000-8000-0000000000aa"
    begin = record(first) + answer(first.replace("aa", "ab"), usage={"input_tokens": 7}, id="m1")
    world.write(world.transcript, begin)
    world.rounds(world.watcher("claude"), 4)
    fork = "7f0c2b1e-5a34-4d0e-9a77-0b6c1d2e3f41"
    other = world.transcript.with_name(f"{fork}.jsonl")
    world.write(other, begin.replace(CLAUDE.encode(), fork.encode()))
    written = world.transcript.stat().st_mtime
    os.utime(other, (written - 60, written - 60))
    world.rounds(world.watcher("claude"), 4)
    world.write(world.transcript, answer("a2", "More.", usage={"input_tokens": 5}, id="m2"))
    world.rounds(world.watcher("claude"), 4)
    assert messages(world) == [first, "Done.", "More."]
    assert world.run(CLAUDE_KEY)["usage"]["input_tokens"] == 12


def usage(number: int) -> bytes:
    return answer(f"a{number}", "Done.", usage={"input_tokens": number}, id=f"m{number}")


def replaced(world: World) -> None:
    other = world.transcript.with_suffix(".new")
    other.write_bytes(world.transcript.read_bytes())
    other.rename(world.transcript)


@pytest.mark.parametrize("lives", [1, 2])
def test_replaced_file_adds_nothing_to_the_next_run(world: World, lives: int) -> None:
    """Neither while its run goes on nor between two runs, in one life of the watcher or in the next."""
    entry = world.register(status="idle")
    world.write(world.transcript, record("u1") + usage(7))
    watcher = world.watcher("claude")
    world.rounds(watcher, 4)
    entry.unlink()
    world.rounds(watcher, 6)
    assert world.run(CLAUDE_KEY)["status"] == "completed"
    replaced(world)
    world.rounds(watcher, 4)
    assert world.run_keys() == [CLAUDE_KEY]
    for number in (3, 5):
        world.write(world.transcript, record(f"u{number}") + usage(number))
        replaced(world)
        watcher = world.watcher("claude") if lives > 1 else watcher
        world.rounds(watcher, 6)
    assert world.run_keys() == [CLAUDE_KEY, SECOND]
    assert messages(world) == ["u1", "Done."]
    assert messages(world, SECOND) == ["u3", "Done.", "u5", "Done."]
    assert world.run(SECOND)["usage"]["input_tokens"] == 8


def test_words_that_come_again_after_a_replacement_are_said(world: World) -> None:
    world.write(world.transcript, record("u1") + answer("a1"))
    watcher = world.watcher("claude")
    world.rounds(watcher, 4)
    world.write(world.transcript, record("u2"))
    replaced(world)
    world.rounds(watcher, 4)
    world.write(world.transcript, answer("a2"))
    world.rounds(world.watcher("claude"), 4)
    assert messages(world) == ["u1", "Done.", "u2", "Done."]


def told_by_exec(world: World, status: str, at: float | None = None, **writer: Any) -> None:
    """A run of `runcast exec` that names the session, and its status since `at`."""
    directory = world.runs / "nightly"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "run.json").write_text(json.dumps({"aliases": [CLAUDE_KEY]}))
    (directory / ".writer.json").write_text(json.dumps(writer))
    told = directory / "status.json"
    told.write_text(json.dumps({"run_id": "nightly", "status": status}))
    if at is not None:
        os.utime(told, (at, at))


def test_session_of_exec_that_is_continued_by_hand_is_followed(world: World) -> None:
    world.write(world.transcript, record("u1") + usage(7))
    written = world.transcript.stat().st_mtime
    told_by_exec(world, "running")
    watcher = world.watcher("claude")
    world.rounds(watcher, 4)
    world.write(world.transcript, record("u2"))
    os.utime(world.transcript, (written, written))
    told_by_exec(world, "completed", written)
    world.rounds(watcher, 4)
    watcher.close()
    watcher = world.watcher("claude")
    world.rounds(watcher, 4)
    assert world.run_keys() == ["nightly"]
    for number in (3, 4):
        world.write(world.transcript, record(f"u{number}") + usage(number))
        os.utime(world.transcript, (written + number, written + number))
        world.rounds(watcher, 4)
        watcher = world.watcher("claude")
    assert world.run_keys() == [SECOND, "nightly"]
    assert messages(world, SECOND) == ["u3", "Done.", "u4", "Done."]
    run = world.run(SECOND)
    assert run["usage"]["input_tokens"] == 7
    assert run["metadata"]["agent"]["resumes"] == CLAUDE_KEY


def test_what_exec_reported_unseen_is_not_said_by_hand(world: World) -> None:
    """The watcher wasn't there while `exec` ran, and finds the session when its person has gone on."""

    def said(uuid: str, at: str) -> bytes:
        whole = json.loads(record(uuid)) | {"timestamp": f"2026-11-26T09:00:{at}.000Z"}
        return json.dumps(whole).encode() + b"\n"

    world.write(world.transcript, said("u1", "01") + said("u2", "02"))
    over = times.parse("2026-11-26T09:00:03.000Z").timestamp()
    told_by_exec(world, "completed", over)
    world.write(world.transcript, said("u3", "04"))
    for _ in range(2):
        world.rounds(world.watcher("claude"), 4)
    assert world.run_keys() == [SECOND, "nightly"]
    assert messages(world, SECOND) == ["u3"]


def test_session_of_an_exec_that_was_killed_is_followed(world: World) -> None:
    world.write(world.transcript, record("u1"))
    written = world.transcript.stat().st_mtime
    gone = writers.this_process() | {"pid": 2**22 - 7}
    told_by_exec(world, "running", written + 1, **gone)
    watcher = world.watcher("claude")
    world.rounds(watcher, 4)
    assert world.run_keys() == ["nightly"]
    world.write(world.transcript, record("u2"))
    os.utime(world.transcript, (written + 2, written + 2))
    world.rounds(watcher, 4)
    assert messages(world, SECOND) == ["u2"]


class Exec:
    """A run of `runcast exec`, as its files say it."""

    def __init__(self, world: World, name: str = "nightly", **made: Any) -> None:
        self.directory = world.runs / name
        self.directory.mkdir(parents=True)
        made = {
            "steps": ["command"],
            "agent_type": "WORKER",
            "created_at": times.to_milliseconds(times.now()),
        } | made
        (self.directory / "run.json").write_text(json.dumps(made))
        self.say({"type": "agent:started", "data": {}})

    def say(self, message: dict[str, Any]) -> None:
        with (self.directory / "spool.jsonl").open("a") as spool:
            spool.write(json.dumps(message) + "\n")

    def claim(self) -> None:
        self.say({"type": "run:updated", "data": {"aliases": [CLAUDE_KEY]}})

    def end(self, at: float) -> None:
        told = self.directory / "status.json"
        told.write_text(json.dumps({"status": "completed"}))
        os.utime(told, (at, at))


def test_session_waits_while_an_exec_may_still_name_it(world: World) -> None:
    """The agent begins its session before `exec` has heard from it: that is one run, not two."""
    begun = Exec(world)
    watcher = world.watcher("claude")
    world.write(world.transcript, record("u1"))
    world.rounds(watcher, 4)
    assert world.run_keys() == ["nightly"]
    begun.claim()
    world.write(world.transcript, answer("a1"))
    world.rounds(watcher, 4)
    assert world.run_keys() == ["nightly"]


@pytest.mark.parametrize(
    "why",
    ["another agent's", "a plain command's", "long ago", "before the clock was set", "no exec"],
)
def test_session_waits_for_no_run_that_cannot_be_it(world: World, why: str) -> None:
    made: dict[str, Any] = {
        "another agent's": {"metadata": {"agent": {"program": "codex"}}},
        "long ago": {"created_at": "2026-01-01T00:00:00Z"},
        "before the clock was set": {"created_at": "2099-01-01T00:00:00Z"},
        "no exec": {"steps": []},
    }.get(why, {})
    begun = Exec(world, **made)
    if why == "a plain command's":
        begun.say({"type": "lines", "source": "stdout", "lines": ["hello"]})
    world.write(world.transcript, record("u1"))
    world.rounds(world.watcher("claude"), 4)
    assert messages(world) == ["u1"]


def test_session_that_exec_goes_on_with_is_handed_over_and_taken_back(world: World) -> None:
    """First by hand, then `exec -- claude --resume`, then by hand: three runs, each word once."""
    watcher = world.watcher("claude")
    world.write(world.transcript, record("u1") + answer("a1"))
    world.rounds(watcher, 10)
    begun = Exec(world)
    world.write(world.transcript, record("u2"))
    world.rounds(watcher, 2)
    begun.claim()
    world.write(world.transcript, answer("a2", "By exec."))
    world.rounds(watcher, 4)
    assert messages(world) == ["u1", "Done."]
    assert world.run(CLAUDE_KEY)["status"] == "completed"
    written = world.transcript.stat().st_mtime
    begun.end(written + 1)
    world.rounds(watcher, 4)
    for number in (3, 4):
        watcher.close()
        watcher = world.watcher("claude")
        world.write(world.transcript, record(f"u{number}"))
        os.utime(world.transcript, (written + number, written + number))
        world.rounds(watcher, 4)
    third = f"{CLAUDE_KEY}.r3"  # the second is the name of exec's run
    assert world.run_keys() == [CLAUDE_KEY, third, "nightly"]
    assert messages(world, third) == ["u3", "u4"]
