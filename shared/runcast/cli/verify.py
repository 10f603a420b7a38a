"""`runcast verify`: whether the agents' runtime is well, in one look."""

import time
from collections import Counter
from typing import Annotated, Any

import typer

from runcast.cli import exits, output
from runcast.cli.context import Context, connect
from runcast.client.clients import Client

RECENT = 200
WATCH_SECONDS = 5.0


def register(app: typer.Typer) -> None:
    app.command("verify", rich_help_panel="Tasks")(verify)


def verify(
    ctx: Context,
    as_json: output.AsJson = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option(help="With --watch: seconds between looks.", min=0.1)
    ] = WATCH_SECONDS,
) -> None:
    """Show workers and their breakers, routes, the queue and recent runtime events.

    Exits with 1 where something is degraded: an open breaker, a worker that is not heard of, a
    subtask that is stuck. Needs an administrator's token.

    Examples:

    runcast verify

    runcast verify --json | jq .degraded

    runcast verify --watch
    """
    with connect(ctx) as client:
        found = _look(client)
        _show(found, as_json, is_one_of_many=watch)
        while watch:
            try:
                time.sleep(every)
            except KeyboardInterrupt:
                break
            found = _look(client)
            _show(found, as_json, is_one_of_many=True)
    if found["degraded"]:
        raise typer.Exit(exits.FAILED)


def _look(client: Client) -> dict[str, Any]:
    status = client.runtime_status()
    events = client.runtime_events(limit=RECENT)["events"]
    kinds = Counter((each["layer"], each["operation"], each["reason_code"]) for each in events)
    recent = [
        {"layer": layer, "operation": operation, "reason_code": reason, "number": number}
        for (layer, operation, reason), number in kinds.most_common()
    ]
    return status | {"recent_events": recent}


def _show(found: dict[str, Any], as_json: bool, *, is_one_of_many: bool) -> None:
    if as_json and is_one_of_many:
        output.print_json_line(found)
    elif as_json:
        output.print_json(found)
    else:
        if is_one_of_many and output.has_colours():
            typer.echo("\x1b[H\x1b[2J", nl=False)
        _print(found)


def _print(found: dict[str, Any]) -> None:
    output.print_table(
        ("worker", "status", "breaker", "route", "heard of", "task"),
        (_worker(worker) for worker in found["workers"]),
    )
    typer.echo()
    output.print_table(
        ("queue", "now", "in the last hour"),
        ((name, each["count"], f"{each['delta_1h']:+d}") for name, each in found["queue"].items()),
    )
    typer.echo()
    output.print_table(
        ("recent events", "operation", "reason", "number"),
        (tuple(each.values()) for each in found["recent_events"]),
    )
    typer.echo()
    routes = {worker["worker_id"]: _route(worker) for worker in found["workers"]}
    for each in found["degraded_by"]:
        where = each.get("subtask_id") or each["worker_id"]
        route = routes.get(each["worker_id"])
        where = f"{where} on {route}" if route and where == each["worker_id"] else where
        text = output.shown(f"{each['flag']}: {where}: {each['reason']}")
        output.print_line(output.paint(text, "red"))
    flags = output.shown(", ".join(found["degraded"]))
    typer.echo(f"degraded: {flags}" if flags else "all is well")


def _worker(worker: dict[str, Any]) -> tuple[Any, ...]:
    breaker = f"open: {worker['circuit_reason']}" if worker["circuit_open"] else "closed"
    return (
        worker["worker_id"],
        worker["status"],
        breaker,
        _route(worker),
        worker["last_heartbeat"] + (" (stale)" if worker["is_stale"] else ""),
        worker["current_task_id"],
    )


def _route(worker: dict[str, Any]) -> str | None:
    """The provider and model that the worker uses now, as its newest call or fallback named them."""
    route = worker["active_route"]
    return route and "/".join(part for part in (route["provider"], route["model"]) if part)
