"""What one file's name or content is costs that file alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.runcast.watch.test_watching import messages, record
from tests.unit.runcast.watch.worlds import CLAUDE, CLAUDE_KEY, World

from runcast.watch import memory
from runcast.watch.claude_registry import ClaudeRegistry
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
