"""What is written into an agent's list of MCP servers, and taken back."""

import json
from pathlib import Path

import pytest

from runcast.agents import mcp_entries, settings_file

PROGRAM = ["/bin/runcast", "mcp", "--project", "demo"]
FILES = ("gemini", "qwen", "cursor", "copilot", "opencode")


@pytest.mark.parametrize("agent", FILES)
def test_a_server_is_added_beside_others_and_taken_away_again(agent: str, tmp_path: Path) -> None:
    path = mcp_entries.settings_path(agent, {}, tmp_path, None)
    member = "mcp" if agent == "opencode" else "mcpServers"
    own = {"theme": "dark", member: {"mine": {"command": "x"}}, "z": 1}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(own, indent=3))
    found, text = settings_file.read(path)
    assert settings_file.change(path, mcp_entries.with_server(agent, found, PROGRAM), text)
    there, text = settings_file.read(path)
    assert list(there) == list(own)
    assert list(there[member]) == ["mine", "runcast"]
    assert "/bin/runcast" in json.dumps(there[member]["runcast"])
    again = mcp_entries.with_server(agent, there, PROGRAM)
    assert not settings_file.change(path, again, text)
    assert mcp_entries.with_server(agent, there, None) == own
    alone = mcp_entries.with_server(agent, {}, PROGRAM)
    assert mcp_entries.with_server(agent, alone, None) == {}


def test_a_place_that_holds_something_else_is_left_alone() -> None:
    with pytest.raises(ValueError, match="mcpServers"):
        mcp_entries.with_server("gemini", {"mcpServers": []}, PROGRAM)


def test_agents_that_keep_their_own_file_are_asked_by_their_own_command() -> None:
    added = mcp_entries.add_command("claude", PROGRAM, is_project=False)
    assert added == ["claude", "mcp", "add", "--scope", "user", "runcast", "--", *PROGRAM]
    assert mcp_entries.remove_command("codex", is_project=False) == [
        "codex",
        "mcp",
        "remove",
        "runcast",
    ]
