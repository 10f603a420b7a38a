"""`runcast usage`: tokens and cost of a project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

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

    Costs are the agents' own, else estimates by price lists. Tokens of a model without a known price are
    counted and have no cost: "known" says for which part of the tokens the cost is.

    Example:  runcast usage -p demo --by model --from 2026-11-01
    """
    with connect(ctx) as client:
        shown = client.project_usage(
            project_or_default(project), since=since, before=before, group=by
        )
    if as_json:
        output.print_json(shown)
        return
    rows = shown["rows"]
    output.print_table(
        (by, "requests", "input", "cached", "output", "cost in $", "known"),
        (
            (
                row["key"] or "-",
                row["requests"],
                row["input_tokens"] + row["cache_write_tokens"],
                row["cache_read_tokens"],
                row["output_tokens"],
                "-" if row["cost_known_share"] == 0 else f"{row['cost_usd']:.4f}",
                "-" if row["cost_known_share"] is None else f"{row['cost_known_share']:.0%}",
            )
            for row in rows
        ),
    )
    _tell_unknown(by, rows)


def _tell_unknown(by: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Says that costs leave something out, and where to see what."""
    partly = [
        row["key"] or "-"
        for row in rows
        if row["cost_known_share"] is not None and row["cost_known_share"] < 1
    ]
    if not partly:
        return
    if by == "model":
        output.say(f"No price is known for all tokens of {', '.join(partly)}.")
    else:
        output.say("Some tokens have no known price; --by model says which.")
