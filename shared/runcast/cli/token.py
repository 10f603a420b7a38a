"""`runcast token`: prints the token that other commands would use."""

import typer

from runcast import errors
from runcast._support.server_config import find
from runcast.cli import output
from runcast.cli.context import Context, options


def register(app: typer.Typer) -> None:
    app.command("token", rich_help_panel="Setup")(token)


def token(ctx: Context, as_json: output.AsJson = False) -> None:
    """Print the token for the server in use, for scripts.

    Example:  curl -H "Authorization: Bearer $(runcast token)" http://localhost:8000/runs
    """
    server = find(options(ctx).url, options(ctx).token)
    if server.token is None:
        raise errors.NotConfigured(f"no token is known for {server.url}: set RUNCAST_TOKEN")
    if as_json:
        output.print_json({"url": server.url, "token": server.token, "source": server.source})
    else:
        typer.echo(server.token)
