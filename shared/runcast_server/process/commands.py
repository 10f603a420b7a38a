"""The server's commands of the `runcast` program: up, api, hub, tailer, migrate, db.

Their code is imported when one of them is run: it takes half a second, which the program's other
commands need not pay.
"""

import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

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

Jobs = Annotated[
    int, typer.Option(min=1, max=32, help="Tables at a time. A restore by one is all or nothing.")
]

Workers = Annotated[
    str | None,
    typer.Option(
        metavar="N|auto",
        help="Processes that share the port; auto: one for each core.  [RUNCAST_WORKERS, 1]",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (up, api, hub, tailer, migrate, backup, restore):
        app.command(rich_help_panel="Servers")(command)
    database = typer.Typer(help="Work on the database by hand.", no_args_is_help=True)
    database.command()(after_restore)
    app.add_typer(database, name="db", rich_help_panel="Servers")


def up(
    host: Host = None,
    port: Port = None,
    data: Data = None,
    runs_dir: RunsDir = None,
    database_url: DatabaseUrl = None,
    redis_url: RedisUrl = None,
    workers: Workers = None,
) -> None:
    """Start everything, in one process or in several, on a Postgres and a Valkey of its own.

    Examples:

    runcast up

    runcast up --port 9000 --data ~/runcast

    runcast up --workers auto
    """
    _launch(
        "up",
        host=host,
        port=port,
        data=data,
        runs_dir=runs_dir,
        database_url=database_url,
        redis_url=redis_url,
        workers=workers,
    )


def api(host: Host = None, port: Port = None, workers: Workers = None) -> None:
    """Serve the REST API, with ingester and sweeper. Settings come from the environment.

    SIGHUP restarts workers one by one.
    """
    _launch("api", host=host, port=port, workers=workers)


def hub(host: Host = None, port: Port = None, workers: Workers = None) -> None:
    """Serve live streams. Settings come from the environment.

    SIGHUP restarts workers one by one.
    """
    _launch("hub", host=host, port=port, workers=workers)


def tailer(host: Host = None, port: Port = None) -> None:
    """Follow files beside the agents. Settings come from the environment."""
    _launch("tailer", host=host, port=port)


def migrate(database_url: DatabaseUrl = None, data: Data = None) -> None:
    """Bring the database's schema to this version, and see that there is an administrator's key.

    The key is kept in credentials.json of the data directory; `runcast token` prints it.
    """
    _launch("migrate", database_url=database_url, data=data)


def backup(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that isn't there.")],
    database_url: DatabaseUrl = None,
    data: Data = None,
    jobs: Jobs = 1,
    artifacts: Annotated[
        bool | None,
        typer.Option(
            "--artifacts/--no-artifacts",
            help="Copy contents above 1 MiB as well; by default where they lie in a folder.",
        ),
    ] = None,
) -> None:
    """Write everything into a directory, as it is at this moment. Servers go on meanwhile.

    Examples:

    runcast backup /backups/monday

    runcast backup /backups/monday --database-url postgresql://owner@db/runcast
    """
    _launch(
        "backup",
        {"directory": directory, "jobs": jobs, "artifacts": artifacts},
        database_url=database_url,
        data=data,
    )


def restore(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="What `runcast backup` wrote.")],
    database_url: DatabaseUrl = None,
    data: Data = None,
    jobs: Jobs = 1,
) -> None:
    """Load a backup into an empty database, check that all of it is there, and tell clients.

    The roles are made where they are missing. Start the servers afterwards.

    Example:

    runcast restore /backups/monday --data ./restored
    """
    _launch(
        "restore",
        {"directory": directory, "jobs": jobs},
        database_url=database_url,
        data=data,
    )


def after_restore(database_url: DatabaseUrl = None, data: Data = None) -> None:
    """Tell clients that Postgres was restored: start a new epoch for every project.

    Clients that saw more than is left get a gap and read again. Servers may keep running; the embedded
    Postgres must be.

    Examples:

    runcast db after-restore

    runcast db after-restore --database-url postgresql://…
    """
    _launch("after-restore", database_url=database_url, data=data)


def _launch(command: str, options: Mapping[str, object] | None = None, /, **flags: object) -> None:
    launch = pkgutil.resolve_name("runcast_server.process.launch:launch")
    raise typer.Exit(launch(command, flags, **(options or {})))
