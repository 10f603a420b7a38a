"""The server's commands of the `runcast` program: up, api, hub, tailer, migrate."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import structlog
import typer

from runcast_server import (
    alone,
    backing,
    credentials,
    datadir,
    embedded,
    logs,
    migrate,
    process,
    settings,
    up,
)

Host = Annotated[str | None, typer.Option(help="Address to listen on.  [RUNCAST_HOST, 127.0.0.1]")]
Port = Annotated[int | None, typer.Option(help="Port; 0 takes a free one.  [RUNCAST_PORT, 8000]")]
Data = Annotated[Path | None, typer.Option(help="Data directory.  [RUNCAST_DATA, .runcast]")]
RunsDir = Annotated[
    Path | None, typer.Option(help="Directory to follow.  [RUNCAST_RUNS_DIR, runs]")
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(help="Postgres 17 or later instead of our own.  [RUNCAST_DATABASE_URL]"),
]
RedisUrl = Annotated[
    str | None, typer.Option(help="Redis or Valkey instead of our own.  [RUNCAST_REDIS_URL]")
]

# What a person can do something about: shown as one message, without a traceback.
EXPLAINED = (
    settings.SettingsError,
    process.StartError,
    datadir.InUseError,
    embedded.EmbeddedError,
    backing.BackingServiceError,
    migrate.MigrationError,
)

log = structlog.get_logger(__name__)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (up_, api, hub, tailer, migrate_):
        app.command(name=command.__name__.rstrip("_"), rich_help_panel="Servers")(command)


def up_(
    host: Host = None,
    port: Port = None,
    data: Data = None,
    runs_dir: RunsDir = None,
    database_url: DatabaseUrl = None,
    redis_url: RedisUrl = None,
) -> None:
    """Start everything in one process, on a Postgres and a Valkey of its own.

    Examples:  runcast up  |  runcast up --port 9000 --data ~/runcast
    """
    _explained(
        lambda read: up.up(read, _say),
        host=host,
        port=port,
        data=data,
        runs_dir=runs_dir,
        database_url=database_url,
        redis_url=redis_url,
    )


def api(host: Host = None, port: Port = None) -> None:
    """Serve the REST API, with ingester and sweeper. Settings come from the environment."""
    _explained(lambda read: alone.run("api", read, _say), host=host, port=port)


def hub(host: Host = None, port: Port = None) -> None:
    """Serve live streams. Settings come from the environment."""
    _explained(lambda read: alone.run("hub", read, _say), host=host, port=port)


def tailer(host: Host = None, port: Port = None) -> None:
    """Follow files beside the agents. Settings come from the environment."""
    _explained(lambda read: alone.run("tailer", read, _say), host=host, port=port)


def migrate_(database_url: DatabaseUrl = None, data: Data = None) -> None:
    """Bring the database's schema to this version, and see that there is an administrator's key.

    The key is kept in credentials.json of the data directory; `runcast token` prints it.
    """
    _explained(_migrate, database_url=database_url, data=data)


def _migrate(read: settings.ServerSettings) -> None:
    url = read.postgres.database_url
    if url is None:
        raise process.StartError("RUNCAST_DATABASE_URL must be set, or --database-url given")
    asyncio.run(backing.wait_for_postgres(url, read.process.start_wait_s, _say))
    applied = migrate.up(url)
    for name in applied:
        _say(f"applied {name}")
    _say(f"the schema is that of this version ({len(applied)} migrations applied)")
    data = read.process.data
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = credentials.read(data)
    token = asyncio.run(credentials.admin_token(url, known.token if known else None))
    where = read.process.public_url or f"http://127.0.0.1:{read.process.port}"
    credentials.write(data, credentials.Credentials(where, token, read.redis.redis_url or "", 0))


def _explained(command: Callable[[settings.ServerSettings], None], **flags: object) -> None:
    """Run a command with the settings of environment and flags; exit 1 with a message if it can't."""
    try:
        read = settings.read(**flags)
        logs.configure(read.process.log_level, read.process.log_format)
        for name in settings.unknown(os.environ):
            log.warning("setting.unknown", name=name)
        command(read)
    except EXPLAINED as error:
        typer.echo(f"runcast: {error}", err=True)
        raise typer.Exit(1) from error
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise typer.Exit(130) from None


def _say(text: str) -> None:
    typer.echo(text)
