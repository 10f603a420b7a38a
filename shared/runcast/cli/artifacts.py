"""`runcast artifacts`: lists, fetches and keeps outputs of runs."""

import mimetypes
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from runcast import errors
from runcast._recording import run_directory
from runcast._support.terminal import harmless
from runcast.cli import completion, finding, offline, output
from runcast.cli.context import Context, connect, server_of

app = typer.Typer(no_args_is_help=True, help="List, fetch and keep outputs of runs.")


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="artifacts", rich_help_panel="Runs")


@app.command()
def ls(
    ctx: Context,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help=output.RUN_HELP, autocompletion=completion.runs)
    ],
    step: Annotated[str | None, typer.Option(help="Only of this step.")] = None,
    all_versions: Annotated[
        bool, typer.Option("--all", help="Every version, not only the latest of each step.")
    ] = False,
    project: output.Project = None,
    directory: output.RunsDir = None,
    as_json: output.AsJson = False,
) -> None:
    """List a run's artifacts.

    Example:

    runcast artifacts ls nightly --all
    """
    if directory is None and server_of(ctx) is not None:
        with connect(ctx) as client:
            page: Mapping[str, Any] = client.list_artifacts(
                finding.find_run(client, run, project)["id"],
                step_name=step,
                versions="all" if all_versions else None,
            )
    else:
        kept = offline.find(run_directory.runs_dir(directory), run).read_artifacts()
        latest = {each["step_name"]: each for each in kept}
        chosen = kept if all_versions else list(latest.values())
        page = {"artifacts": [each for each in chosen if step in (None, each["step_name"])]}
    if as_json:
        output.print_json(page)
        return
    output.print_table(
        ("id", "step", "version", "type", "size"),
        (
            (
                each.get("id") or each.get("artifact_id"),
                each["step_name"],
                each["version"],
                each["media_type"],
                each["size"],
            )
            for each in page["artifacts"]
        ),
    )


@app.command()
def get(
    ctx: Context,
    artifact: Annotated[str, typer.Argument(help="The artifact's id.")],
    target: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; else stdout.")
    ] = None,
) -> None:
    """Fetch an artifact's content.

    Example:

    runcast artifacts get 0198… -o outline.json
    """
    with connect(ctx) as client:
        content = client.artifact_content(artifact)
    if target is not None:
        target.write_bytes(content)
    elif sys.stdout.isatty():
        typer.echo(_readable(content), nl=not content.endswith(b"\n"), color=True)
    else:
        sys.stdout.buffer.write(content)


def _readable(content: bytes) -> str:
    """The content for a terminal, which it may not command. Raises `RuncastError` for what is no text."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = "\x00"
    if "\x00" in text:
        raise errors.RuncastError("the content is no text; write it to a file with -o")
    return harmless(text, colours=output.has_colours())


@app.command()
def put(
    ctx: Context,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help=output.RUN_HELP, autocompletion=completion.runs)
    ],
    step: Annotated[str, typer.Argument(help="The step that made it.")],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    project: output.Project = None,
    as_json: output.AsJson = False,
) -> None:
    """Keep a file as the next version of a step.

    Example:

    runcast artifacts put nightly outline outline.md
    """
    media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    with connect(ctx) as client:
        kept = client.upload_artifact(
            finding.find_run(client, run, project)["id"], step, file, media_type=media_type
        )
    if as_json:
        output.print_json(kept)
    else:
        typer.echo(output.shown(f"{kept['id']}  {kept['step_name']} v{kept['version']}"))
