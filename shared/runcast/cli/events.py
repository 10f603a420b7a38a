"""`runcast events`: a project's events, kept and live."""

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runcast import events as catalogue
from runcast._support.terminal import harmless
from runcast.cli import output
from runcast.cli.context import Context, connect, project_or_default

if TYPE_CHECKING:
    from runcast.client.clients import Client

HIDDEN = frozenset({catalogue.AGENT_LOG, catalogue.LOG_CLOSED, catalogue.LOG_REOPENED})
"""What is said of lines: left out, unless `--logs` or `--type` asks for it."""
ALWAYS = frozenset({catalogue.GAP, catalogue.BYE})
"""What says that something won't come, whatever types are asked for."""
PAGE = 1_000
MOST_PAGES = 50
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
    projects: Annotated[
        str | None,
        typer.Option(
            help="With -f: these projects (slugs or ids, comma-separated), or `all`, on one connection."
        ),
    ] = None,
    logs: Annotated[
        str | None, typer.Option(help="Also the lines of these runs (ids, or `all`).")
    ] = None,
    after: Annotated[int | None, typer.Option(min=0, help="Only events after this number.")] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Only events of this type; repeatable.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Maximum number to print (not with -f).")
    ] = 50,
    as_json: output.AsJson = False,
) -> None:
    """Print a project's events: the last ones, or with -f what happens from now on.

    With -f and --after nothing between is missed; what can't be delivered any more is told as a
    `gap`. The stream reconnects by itself.

    Examples:

    runcast events -f demo

    runcast events -f demo --logs all --json

    runcast events -f --projects all
    """
    if projects is not None:
        _check_projects(project, follow, after)
    where = project_or_default(project)
    wanted = set(types or ())
    with connect(ctx) as client:
        if follow:
            live = (
                client.events(where, logs=logs, after=after)
                if projects is None
                else client.events(projects=projects, logs=logs)
            )
            for event in live:
                if not wanted or event.type in wanted or event.type in ALWAYS:
                    _print(_members(event), as_json)
            return
        # Lines are told where they are asked for, live or not: else they'd hide all the rest.
        hidden = HIDDEN if not types and logs is None else frozenset[str]()
        found = _kept(client, where, after, types, limit, hidden)
    for each in found:
        _print(each, as_json)


def _check_projects(project: str | None, follow: bool, after: int | None) -> None:
    """Raises where `--projects` stands with what is only of one project, or without -f."""
    if not follow:
        raise typer.BadParameter("needs -f: what is kept is printed of one project")
    if project is not None:
        raise typer.BadParameter("name either one project or --projects")
    if after is not None:
        raise typer.BadParameter("--after is a number of one project")


def _members(event: catalogue.Event) -> Mapping[str, Any]:
    """The event as it is printed; of several projects with its own."""
    of = {} if event.project_id is None else {"project_id": event.project_id}
    return {"id": event.id, **of, "type": event.type, "data": event.data}


def _kept(
    client: "Client",
    project: str,
    after: int | None,
    types: Sequence[str] | None,
    limit: int,
    hidden: Set[str],
) -> list[Mapping[str, Any]]:
    """The first events after a number, or the last ones of all, oldest first, without some types."""
    found: list[Mapping[str, Any]] = []
    before = LAST_EVENT if after is None else None
    for _ in range(MOST_PAGES):
        size = PAGE if hidden else min(limit, PAGE)
        page = client.event_history(
            project, after=after, before=before, types=types or None, limit=size
        )["events"]
        shown: list[Mapping[str, Any]] = [event for event in page if event["type"] not in hidden]
        found = found + shown if before is None else shown + found
        if len(found) >= limit or len(page) < size:
            break
        if before is None:
            after = page[-1]["id"]
        else:
            before = page[0]["id"]
    return found[:limit] if before is None else found[-limit:]


def _print(event: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        output.print_json_line(event)
        return
    colour = "red" if event["type"] == catalogue.GAP else "cyan"
    whose = (
        [output.paint(event["project_id"][-8:], "bright_black")] if "project_id" in event else []
    )
    output.print_line(
        *whose,
        output.paint(output.shown(event.get("id")), "bright_black"),
        output.paint(output.shown(event["type"]), colour),
        harmless(_summary(event), colours=False).replace("\n", " "),
    )


def _summary(event: Mapping[str, Any]) -> str:
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


def _run(data: Mapping[str, Any]) -> str:
    return str(data.get("run_id", ""))[-8:]
