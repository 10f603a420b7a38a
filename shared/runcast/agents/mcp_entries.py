"""How each agent is told of an MCP server that is a program: `runcast mcp`. Nothing secret is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Json = dict[str, Any]

NAME = "runcast"
BY_COMMAND = frozenset({"claude", "codex"})
"""Agents that keep their servers in a file that they write themselves: their own command adds one."""


def add_command(agent: str, program: Sequence[str], *, is_project: bool) -> list[str]:
    """The agent's own command that adds the server."""
    scope = ["--scope", "project" if is_project else "user"] if agent == "claude" else []
    return [agent, "mcp", "add", *scope, NAME, "--", *program]


def remove_command(agent: str, *, is_project: bool) -> list[str]:
    scope = ["--scope", "project" if is_project else "user"] if agent == "claude" else []
    return [agent, "mcp", "remove", *scope, NAME]


def settings_path(agent: str, env: Mapping[str, str], home: Path, project: Path | None) -> Path:
    """The JSON file that holds the agent's servers."""
    if agent == "copilot":
        return Path(env.get("COPILOT_HOME") or home / ".copilot") / "mcp-config.json"
    if agent == "cursor":
        return (project or home) / ".cursor" / "mcp.json"
    if agent == "opencode":
        base = Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "opencode"
        return (project or base) / "opencode.json"
    return (project or home) / f".{agent}" / "settings.json"


def with_server(agent: str, settings: Json, program: Sequence[str] | None) -> Json:
    """The settings with our server in them, others and their order as they were; without it where there is no
    program. Raises `ValueError` where the place of servers holds something else."""
    member = "mcp" if agent == "opencode" else "mcpServers"
    servers = settings.get(member, {})
    if not isinstance(servers, dict):
        raise ValueError(f'its member "{member}" is no object')
    others = {name: each for name, each in servers.items() if name != NAME}
    if program is None:
        kept = {name: each for name, each in settings.items() if name != member}
        return {**settings, member: others} if others or settings.get(member) == {} else kept
    if NAME in servers:
        return {**settings, member: {**servers, NAME: _entry(agent, program)}}
    return {**settings, member: {**others, NAME: _entry(agent, program)}}


def _entry(agent: str, program: Sequence[str]) -> Json:
    if agent == "opencode":
        return {"type": "local", "command": list(program), "enabled": True}
    entry: Json = {"command": program[0], "args": list(program[1:])}
    return {"type": "local", "tools": ["*"], **entry} if agent == "copilot" else entry
