"""`runcast usage`: tokens and cost of a project."""

from __future__ import annotations

from typing import Annotated

import typer

from runcast.cli import output
from runcast.cli.context import Context, connect, project_or_default


def register(app: typer.Typer) -> None:
    app.command("usage", rich_help_panel="Agents")(usage)


def usage(
    ctx: Context,
    project: output.Project = None,
    by: Annotated[str, typer.Option(help="day, run, agent or model.")] = "day",
    since: Annotated[
        str | None, typer.Option("--from", help="The first day, as 2026-11-26.")
    ] = None,
    before: Annotated[str | None, typer.Option("--to", help="The day after the last one.")] = None,
    as_json: output.AsJson = False,
) -> None:
    """Show what a project's runs have used, and what it cost.

    A cost that isn't known for all tokens says for how many of them it is.

    Example:  runcast usage -p demo --by model --from 2026-11-01
    """
    with connect(ctx) as client:
        shown = client.project_usage(
            project_or_default(project), since=since, before=before, group=by
        )
    if as_json:
        output.print_json(shown)
        return
    output.print_table(
        (by, "requests", "input", "cached", "output", "cost in $", "known"),
        (
            (
                row["key"] or "-",
                row["requests"],
                row["input_tokens"] + row["cache_write_tokens"],
                row["cache_read_tokens"],
                row["output_tokens"],
                f"{row['cost_usd']:.4f}",
                "-" if row["cost_known_share"] is None else f"{row['cost_known_share']:.0%}",
            )
            for row in shown["rows"]
        ),
    )
