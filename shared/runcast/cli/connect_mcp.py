"""`runcast connect AGENT --mcp`: tells an agent of Runcast's tools (`docs/mcp.md`)."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import typer

from runcast import errors
from runcast.agents import mcp_entries, settings_file
from runcast.cli import output


def connect(agent: str, project: str, here: Path | None, *, print_only: bool, remove: bool) -> None:
    """Adds the server to the agent's configuration, or takes it away. Raises `InvalidFile`."""
    program = [*_runcast(), "mcp", "--project", project]
    if agent in mcp_entries.BY_COMMAND:
        is_project = here is not None
        command = (
            mcp_entries.remove_command(agent, is_project=is_project)
            if remove
            else mcp_entries.add_command(agent, program, is_project=is_project)
        )
        _by_command(agent, command, here, print_only=print_only)
        return
    path = mcp_entries.settings_path(agent, os.environ, Path.home(), here)
    found, text = settings_file.read(path)
    try:
        settings = mcp_entries.with_server(agent, found, None if remove else program)
    except ValueError as error:
        raise errors.InvalidFile(path, f"{error}; it was left alone") from error
    if print_only:
        typer.echo(f"{path}:")
        typer.echo(settings_file.in_form_of(settings, text), nl=False)
    elif remove:
        if text is not None and settings != found:
            settings_file.change(path, settings, text)
        output.say(f"{path}: Runcast's tools are not in it any more")
    else:
        is_changed = settings_file.change(path, settings, text)
        output.say(f"{path}: {'connected' if is_changed else 'was connected already'}")


def _by_command(agent: str, command: list[str], here: Path | None, *, print_only: bool) -> None:
    shown = shlex.join(command)
    if print_only:
        typer.echo(shown)
        return
    if shutil.which(agent) is None:
        raise errors.RuncastError(f"{agent} is not installed here; where it is, run: {shown}")
    if subprocess.run(command, cwd=here, check=False).returncode:
        raise errors.RuncastError(f"this command failed: {shown}")


def _runcast() -> list[str]:
    """The command that starts us, wherever an agent is started."""
    program = Path(sys.argv[0])
    if program.name == "runcast" and program.exists():
        return [str(program.resolve())]
    found = shutil.which("runcast")
    return [found or "runcast"]
