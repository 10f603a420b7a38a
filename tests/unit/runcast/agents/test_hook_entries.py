"""What `runcast connect` writes for each agent, as its document says; and what it takes away again."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from runcast.agents import hook_entries
from runcast.agents.hook_entries import entries, is_ours, settings_path, with_entries
from runcast.cli import connect, watch

DOCUMENT = (Path(__file__).parents[4] / "docs" / "agents.md").read_text()
PROGRAM = Path("/home/o'neil a/runcast-hook")
WITH_SETTINGS = [agent for agent in connect.AGENTS if agent != "opencode"]


@pytest.mark.parametrize("agent", WITH_SETTINGS)
def test_the_file_of_each_agent_is_the_documented_one(agent: str) -> None:
    home = Path("/home/ana")
    path = settings_path(agent, {}, home, None)
    row = f"| `{agent}` | `~/{path.relative_to(home)}` |"
    assert row in DOCUMENT
    own = settings_path(agent, {}, home, Path("/w/app"))
    assert own.is_relative_to("/w/app")


@pytest.mark.parametrize("agent", WITH_SETTINGS)
def test_entries_come_behind_yours_and_go_without_a_trace(agent: str) -> None:
    wanted = entries(agent, PROGRAM, answers=True, control=False)
    event = next(iter(wanted))
    mine: dict[str, Any] = {"hooks": [{"type": "command", "command": "./runcast-hook.sh"}]}
    settings = {"model": "m", "hooks": {"Other": [mine], event: [mine, "odd", 7]}, "z": 1}
    before = copy.deepcopy(settings)
    changed = with_entries(settings, wanted)
    assert changed["hooks"][event][:3] == [mine, "odd", 7]
    assert is_ours(changed["hooks"][event][3])
    assert with_entries(changed, wanted) == changed, "a second time changes nothing"
    assert with_entries(changed, {}) == before == settings
    assert list(with_entries(changed, {})) == list(before)


def test_cursor_takes_every_message_and_stops_where_that_is_asked_for() -> None:
    made = entries("cursor", PROGRAM, answers=True, control=True)
    assert made["stop"] == made["preToolUse"] | {"loop_limit": None}, "else five of a conversation"
    assert "preToolUse" not in entries("cursor", PROGRAM, answers=True, control=False)


def test_every_agent_that_is_watched_or_connected_is_documented() -> None:
    for agent in {*connect.AGENTS, *watch.AGENTS}:
        assert agent in DOCUMENT.lower(), agent
    assert hook_entries.PROGRAM in DOCUMENT
