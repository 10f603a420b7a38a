"""`runcast connect`: lets an agent's hooks tell Runcast what it does and asks."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from runcast import errors
from runcast.agents import hook_entries, settings_file
from runcast.cli import connect_mcp, output
from runcast.cli.context import Context, connect, project_or_default
from runcast.client.clients import Client

AGENTS = ("claude", "codex", "gemini", "qwen", "copilot", "cursor", "opencode")
TELLING = frozenset({"gemini", "copilot", "cursor"})
"""Agents whose hooks can't answer what they ask."""
AWAITING = frozenset({"codex", "qwen"})
"""Agents that wait for a hook before they show their own prompt."""
PLUGIN = "runcast.js"


def register(app: typer.Typer) -> None:
    app.command("connect", rich_help_panel="Agents")(connect_agent)


def connect_agent(
    ctx: Context,
    agent: Annotated[str, typer.Argument(help=f"{', '.join(AGENTS[:-1])} or {AGENTS[-1]}.")],
    project: output.Project = None,
    scope: Annotated[
        str, typer.Option(help="user: all your sessions; project: those in this directory.")
    ] = "user",
    no_answers: Annotated[
        bool, typer.Option("--no-answers", help="Only watch; nothing is answered from elsewhere.")
    ] = False,
    control: Annotated[
        bool, typer.Option("--control", help="A cancelled session stops before its next tool.")
    ] = False,
    mcp: Annotated[
        bool, typer.Option("--mcp", help="Give it Runcast's tools instead of its hooks.")
    ] = False,
    print_only: Annotated[
        bool, typer.Option("--print", help="Show what would be written, and do nothing.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take away what was added, and nothing else.")
    ] = False,
) -> None:
    """Connect an agent by its hooks: its sessions become runs, its questions come to your inbox.

    What its hooks hand over (what you ask for, commands that need a permission, its last words) goes to
    your Runcast server, and nowhere else. Your own hooks and their order stay as they are.

    Examples:

    runcast connect claude

    runcast connect codex --print

    runcast connect claude --mcp --project demo

    runcast connect claude --remove
    """
    if agent not in AGENTS:
        raise typer.BadParameter(f"{agent!r} is not one of {', '.join(AGENTS)}")
    if scope not in ("user", "project"):
        raise typer.BadParameter("--scope is user or project")
    here = Path.cwd() if scope == "project" else None
    if mcp:
        if not (print_only or remove):
            _install(ctx, project_or_default(project), config_dir() / hook_entries.PROGRAM)
        named = project_or_default(project)
        connect_mcp.connect(agent, named, here, print_only=print_only, remove=remove)
        return
    if agent == "opencode":
        _opencode(ctx, project, here, print_only=print_only, remove=remove)
        return
    answers = not no_answers
    _hooks(ctx, agent, project, here, answers, control, print_only=print_only, remove=remove)


def _hooks(
    ctx: Context,
    agent: str,
    project: str | None,
    here: Path | None,
    answers: bool,
    control: bool,
    *,
    print_only: bool,
    remove: bool,
) -> None:
    path = hook_entries.settings_path(agent, os.environ, Path.home(), here)
    found, text = settings_file.read(path)
    program = config_dir() / hook_entries.PROGRAM
    wanted = (
        {} if remove else hook_entries.entries(agent, program, answers=answers, control=control)
    )
    if agent in hook_entries.VERSIONED and wanted:
        found = {"version": 1} | found
    try:
        settings = hook_entries.with_entries(found, wanted)
    except ValueError as error:
        raise errors.InvalidFile(path, f"{error}; the file was left alone") from error
    if print_only:
        typer.echo(f"{path}:")
        typer.echo(settings_file.in_form_of(settings, text), nl=False)
        return
    if remove:
        _remove(agent, path, settings, found, text)
        return
    _install(ctx, project_or_default(project), program)
    is_changed = settings_file.change(path, settings, text)
    output.say(f"{path}: {'connected' if is_changed else 'was connected already'}")
    if agent == "codex":
        output.say("Codex asks you once to trust new hooks: open it and type /hooks.")
    if agent in AWAITING and answers:
        output.say(f"{agent} waits for a hook before it asks you: it is held while you are away.")
        output.say("Say so by: runcast away on")
    if agent in TELLING:
        output.say(f"{agent} only tells what it does: answer its questions where it runs.")


def _remove(agent: str, path: Path, settings: Any, found: Any, text: str | None) -> None:
    if agent in hook_entries.VERSIONED and settings_file.was_made_by_us(path):
        settings = {} if settings == {"version": 1} else settings
    if text is not None:
        settings_file.restore(path, settings, found, text)
    output.say(f"Nothing of Runcast is in {path} any more.")


def config_dir() -> Path:
    """Where the hook's program and its key are."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "runcast"


def _install(ctx: Context, project: str, program: Path) -> None:
    """The hook's program, and a key of the project for it, made once."""
    program.parent.mkdir(parents=True, exist_ok=True)
    source = (files("runcast.agents") / "hook.py").read_text(encoding="utf-8")
    # -I -S: nothing of the environment and no site packages, which halves the time of its start.
    _write(program, f"#!{sys.executable} -IS\n{source}", 0o755)
    config = program.parent / "agents.json"
    with connect(ctx) as client:
        if _is_good(config, client, project):
            return
        name = f"hooks on {platform.node()}"[:200]
        made = client.create_key(project, name, role="reporter")
        known = {"url": client.url, "token": made["token"], "project": project}
    _write(config, json.dumps(known) + "\n", 0o600)


def _is_good(config: Path, client: Client, project: str) -> bool:
    """Whether the file holds a key of this project that the server still takes."""
    try:
        known: Any = json.loads(config.read_text(encoding="utf-8"))
        if (known["url"], known["project"]) != (client.url, project):
            return False
        with Client(client.url, known["token"]) as as_hook:
            as_hook.me()
    except (OSError, ValueError, LookupError, TypeError, errors.Unauthorized):
        return False
    return True


def _write(path: Path, text: str, mode: int) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
    os.replace(draft, path)


def _opencode(
    ctx: Context, project: str | None, here: Path | None, *, print_only: bool, remove: bool
) -> None:
    folder = here / ".opencode" if here else config_dir().parent / "opencode"
    path = folder / "plugins" / PLUGIN
    source = (files("runcast.agents") / "opencode_plugin.js").read_text(encoding="utf-8")
    if print_only:
        typer.echo(f"{path}:\n{source}", nl=False)
        return
    if path.exists() and "Runcast" not in path.read_text(encoding="utf-8", errors="replace"):
        raise errors.RuncastError(f"{path} is there already, and isn't ours")
    if remove:
        path.unlink(missing_ok=True)
        output.say(f"{path} is gone.")
    else:
        _install(ctx, project_or_default(project), config_dir() / hook_entries.PROGRAM)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, source, 0o644)
        output.say(f"{path}: connected")
