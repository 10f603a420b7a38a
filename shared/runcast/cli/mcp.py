"""`runcast mcp`: Runcast's tools for an agent that starts its MCP servers as programs."""

from __future__ import annotations

import asyncio
import importlib
import json
import os

import typer

from runcast import errors
from runcast._support import server_config
from runcast.cli import output
from runcast.cli.connect import config_dir
from runcast.cli.context import Context, options


def register(app: typer.Typer) -> None:
    app.command("mcp", rich_help_panel="Agents")(serve)


def serve(ctx: Context, project: output.Project = None) -> None:
    """Offer Runcast's tools to an agent, over stdin and stdout (Model Context Protocol).

    An agent that speaks HTTP needs no program: give it the address of your server with /mcp behind it and a
    project's key. For others, this is the command to put into their configuration. Nine tools: report, runs,
    log, search, wait, ask_human, answer_wait, artifact, permission_prompt.

    Examples:

    claude mcp add runcast -- runcast mcp --project demo

    runcast connect claude --mcp
    """
    try:
        stdio = importlib.import_module("runcast.mcp.stdio")
    except ModuleNotFoundError as error:
        raise errors.RuncastError(
            f"`runcast mcp` needs the package {error.name}: pip install 'runcast[mcp]'"
        ) from error
    url, token = _server(ctx)
    asyncio.run(stdio.serve(url, token, project))


def _server(ctx: Context) -> tuple[str, str | None]:
    """The server that is named; else the one that `runcast connect` made a key for, which can only report;
    else the local one."""
    given = options(ctx)
    if not (given.url or os.environ.get("RUNCAST_URL")):
        try:
            known = json.loads((config_dir() / "agents.json").read_bytes())
            return str(known["url"]), str(known["token"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # nothing was connected
    connection = server_config.find(given.url, given.token)
    return connection.url, connection.token
