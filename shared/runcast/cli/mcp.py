"""`runcast mcp`: Runcast's tools for an agent that starts its MCP servers as programs."""

from __future__ import annotations

import asyncio
import importlib

import typer

from runcast import errors
from runcast._support import server_config
from runcast.cli import output
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
    connection = server_config.find(options(ctx).url, options(ctx).token)
    asyncio.run(stdio.serve(connection.url, connection.token, project))
