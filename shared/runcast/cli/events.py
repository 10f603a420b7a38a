"""`runcast events`: a project's events, kept and live."""

from typing import Annotated, Any

import typer

from runcast import events as catalogue
from runcast._support.terminal import harmless
from runcast.cli import output
from runcast.cli.context import Context, connect, project_or_default

LAST_EVENT = 2**53 - 1
"""Above every event's number."""


def register(app: typer.Typer) -> None:
    app.command("events", rich_help_panel="Runs")(events)


def events(
    ctx: Context,
    project: Annotated[
        str | None, typer.Argument(help="Slug or id.  [RUNCAST_PROJECT, default]")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on, live.")] = False,
    logs: Annotated[
        str | None, typer.Option(help="Also the lines of these runs (ids, or `all`).")
    ] = None,
    after: Annotated[int | None, typer.Option(min=0, help="Only events after this number.")] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Only events of this type; repeatable.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", help="At most so many (not with -f).")
    ] = 50,
    as_json: output.AsJson = False,
) -> None:
    """Print a project's events: the last ones, or with -f what happens from now on.

    With -f and --after nothing between is missed; what can't be delivered any more is told as a
    `gap`. The stream reconnects by itself.

    Examples:  runcast events -f demo  |  runcast events -f demo --logs all --json
    """
    where = project_or_default(project)
    wanted = set(types or ())
    with connect(ctx) as client:
        if follow:
            for event in client.events(where, logs=logs, after=after):
                if not wanted or event.type in wanted or event.type == catalogue.GAP:
                    _print({"id": event.id, "type": event.type, "data": event.data}, as_json)
            return
        before = LAST_EVENT if after is None else None
        page = client.event_history(
            where, after=after, before=before, types=types or None, limit=limit
        )
    for each in page["events"]:
        _print(each, as_json)


def _print(event: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.print_json_line(event)
        return
    out = output.console()
    number = output.cell(event.get("id"))
    number.stylize("bright_black")
    name = output.cell(event["type"])
    name.stylize("red" if event["type"] == catalogue.GAP else "cyan")
    out.print(number, name, harmless(_summary(event), colours=False), markup=False)


def _summary(event: dict[str, Any]) -> str:
    """What is worth a line of an event."""
    data = event["data"]
    match event["type"]:
        case catalogue.AGENT_LOG:
            return str(data.get("line", ""))
        case catalogue.RUN_STATUS_CHANGED:
            return f"{_run(data)} {data['old_status']} → {data['new_status']}"
        case catalogue.RUN_STEP_CHANGED:
            return f"{_run(data)} {data['old_step']} → {data['new_step']}"
        case catalogue.RUN_PROGRESS:
            percent = f"{data['percent']}% " if data.get("percent") is not None else ""
            return f"{_run(data)} [{data.get('stage')}] {percent}{data.get('message')}"
        case catalogue.ARTIFACT_CREATED:
            return f"{_run(data)} {data['step_name']} v{data['version']} ({data['size']} bytes)"
        case catalogue.AGENT_FAILED:
            return f"{_run(data)} {data.get('error')}"
        case _:
            shown = {name: value for name, value in data.items() if name not in ("run", "at")}
            return " ".join(f"{name}={value}" for name, value in shown.items())


def _run(data: dict[str, Any]) -> str:
    return str(data.get("run_id", ""))[-8:]
