"""`runcast doctor`: what is wrong here, and what to do about it."""

import os
import pkgutil
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from runcast import contract, errors
from runcast._recording import formats, run_directory
from runcast._support import server_config
from runcast._support.server_config import Connection
from runcast.cli import doctor_report, output
from runcast.cli.context import Context, options
from runcast.cli.doctor_report import OK, PROBLEM, WARNING, Finding
from runcast.client.clients import Client

_SEGMENT_SECONDS = 5.0
MOST_LEFT_OUT = 20


def register(app: typer.Typer) -> None:
    app.command("doctor", rich_help_panel="Setup")(doctor)


def doctor(
    ctx: Context,
    directory: Annotated[
        str | None, typer.Option("--dir", help="Directory of runs.  [RUNCAST_RUNS_DIR, runs]")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all-segments", help="Look at all stored logs, however long it takes.")
    ] = False,
    of_server: Annotated[
        bool,
        typer.Option("--server", help="Check Postgres and Redis of the server's settings instead."),
    ] = False,
    as_json: output.AsJson = False,
) -> None:
    """Check this machine, the server, its stored logs and the files of local runs.

    Exits with 1 if something is wrong. Stored logs are looked at for some seconds, by administrators.

    With --server, where the server's settings are (RUNCAST_DATABASE_URL and so on): whether its Postgres and
    Redis are set up so that it can work. It changes nothing.

    Examples:

    runcast doctor

    runcast doctor --server
    """
    if of_server:
        doctor_report.show(_backing_servers(), as_json=as_json)
        return
    findings = [*_machine(), *_server(ctx, every=every), *_files(run_directory.runs_dir(directory))]
    doctor_report.show(findings, as_json=as_json)


def _backing_servers() -> list[Finding]:
    """What the server's own package finds. It comes with `runcast[server]`."""
    try:
        examine = pkgutil.resolve_name("runcast_server.doctor.checks:examine")
    except ImportError as error:
        text = f"the server is not installed here: {error}"
        return [Finding("server", PROBLEM, text, "pip install 'runcast[server]'")]
    found: list[Finding] = examine()
    return found


def _machine() -> Iterator[Finding]:
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    enough = sys.version_info >= (3, 11)
    yield Finding("python", OK if enough else PROBLEM, text, "" if enough else "3.11 or later")
    yield Finding("runcast", OK, version("runcast"))


def _server(ctx: Context, *, every: bool) -> Iterator[Finding]:
    try:
        server = server_config.find(options(ctx).url, options(ctx).token)
    except errors.NotConfigured as error:
        yield Finding("server", WARNING, str(error), "runs are kept in files until `runcast sync`")
        return
    yield Finding("server", OK, f"{server.url} (from {server.source})")
    if server.token is None:
        yield Finding("token", WARNING, "none is known", "set RUNCAST_TOKEN")
    yield from _credentials()
    with Client(server.url, server.token, timeout_seconds=10.0) as client:
        for about, ask in _questions(client, server):
            found = _answered(about, ask)
            yield found
            if about == "reachable" and found.state == PROBLEM:
                return
        yield from _warnings(client)
        yield from _segments(client, every=every)


def _warnings(client: Client) -> Iterator[Finding]:
    """What the server itself says would hurt."""
    try:
        answer: Mapping[str, Any] = client.ready()
    except errors.RuncastError:  # said already
        return
    for text in (answer.get("warnings") or {}).values():
        yield Finding("server", WARNING, str(text))


def _questions(client: Client, server: Connection) -> Iterator[tuple[str, Callable[[], str]]]:
    def ready() -> str:
        answer: Mapping[str, Any] = client.ready()
        degraded = answer.get("degraded") if isinstance(answer, dict) else None
        return f"yes, but {degraded}" if degraded else "yes"

    def runs() -> str:
        return f"{client.list_runs(limit=1).get('total')} runs can be seen"

    yield "reachable", lambda: str(client.server().get("version", "yes"))
    yield "ready", ready
    if server.token is not None:
        yield "token", runs


def _segments(client: Client, *, every: bool) -> Iterator[Finding]:
    """Stored segments that can't be read. Says nothing to who isn't an administrator."""
    checked, cursor = 0, None
    try:
        while True:
            page = client.check_segments(seconds=_SEGMENT_SECONDS, cursor=cursor)
            checked += page["checked"]
            yield from map(_damaged, page["damaged"])
            cursor = page["next_cursor"]
            if cursor is None or not every:
                break
    except (errors.Unauthorized, errors.Forbidden):
        return
    except errors.RuncastError as error:
        yield Finding("stored logs", PROBLEM, str(error))
        return
    rest = "" if cursor is None else ", not all: `runcast doctor --all-segments` looks at the rest"
    yield Finding("stored logs", OK, f"{checked:,} segments looked at{rest}")


def _damaged(segment: Mapping[str, Any]) -> Finding:
    run, project = segment["run_id"], segment["project_id"]
    of_run = f"run {run}, " if run else ""
    return Finding(
        "stored logs",
        PROBLEM,
        f"project {project}, {of_run}{segment['reason']}",
        "restore it from a backup; all other events and lines stay readable",
    )


def _answered(about: str, ask: Callable[[], str]) -> Finding:
    try:
        return Finding(about, OK, ask())
    except errors.Unreachable as error:
        return Finding(about, PROBLEM, str(error), "is it started? `runcast up`")
    except errors.Unauthorized as error:
        return Finding(about, PROBLEM, str(error), "set RUNCAST_TOKEN to a key of this server")
    except errors.RuncastError as error:
        return Finding(about, PROBLEM, str(error))


def _credentials() -> Iterator[Finding]:
    path = server_config.credentials_path()
    if path.exists() and path.stat().st_mode & 0o077:
        yield Finding("credentials", WARNING, f"others may read {path}", f"chmod 600 {path}")


def _files(root: Path) -> Iterator[Finding]:
    if not root.is_dir():
        yield Finding("runs", OK, f"{root} is not there yet")
        return
    if not os.access(root, os.W_OK):
        yield Finding("runs", PROBLEM, f"{root} can't be written", "no new runs can be recorded")
    checked = 0
    for path, kind in _json_files(root):
        checked += 1
        try:
            formats.read(path, kind)
        except errors.InvalidFile as error:
            yield Finding("file", PROBLEM, str(error), "it is left as it is; mend or remove it")
        except OSError as error:
            yield Finding("file", PROBLEM, f"{path}: {error.strerror}")
    yield from _not_followed(root)
    yield Finding("runs", OK, f"{root}: {checked} files looked at")


def _not_followed(root: Path) -> Iterator[Finding]:
    """What lies among the runs, and neither tailer nor `sync` takes for one."""
    left_out = [(path, reason) for path in sorted(root.iterdir()) if (reason := _refusal(path))]
    for path, reason in left_out[:MOST_LEFT_OUT]:
        advice = f"`runcast tail '{path}/*.log'` has its files followed" if path.is_dir() else ""
        yield Finding("not followed", WARNING, f"{path}: {reason}", advice)
    if len(left_out) > MOST_LEFT_OUT:
        yield Finding("not followed", WARNING, f"and {len(left_out) - MOST_LEFT_OUT} more")


def _refusal(path: Path) -> str | None:
    """Why a name among the runs is not followed; None where it is, or no one expects it to be."""
    if path.name.startswith(".") or path.name == "index.json":
        return None
    if not path.is_dir():
        return "is a file; a run is a directory" if path.suffix in (".log", ".txt") else None
    if not run_directory.is_run(path):
        return "holds none of run.json, spool.jsonl, status.json and logs.txt"
    if fault := contract.key_fault(path.name):
        return f"its name can't be a run's key: it {fault}"
    for name in (contract.LOG_FILE, contract.SPOOL_FILE):
        found = path / name
        if found.is_symlink() or (found.exists() and not found.is_file()):
            return f"{name} is no regular file"
    return None


def _json_files(root: Path) -> Iterator[tuple[Path, str]]:
    candidates = [(root / "index.json", "runs/index.json")]
    for directory in run_directory.directories(root):
        candidates.append((directory.run, "run.json"))
        candidates.append((directory.status, "status.json"))
        candidates.append((directory.artifacts_index, "artifacts/index.json"))
    yield from ((path, kind) for path, kind in candidates if path.exists())
