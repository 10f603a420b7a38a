"""What a doctor finds, and how it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import typer

from runcast.cli import exits, output

OK, WARNING, PROBLEM = "ok", "warning", "problem"
_COLOURS = {OK: "green", WARNING: "yellow", PROBLEM: "red"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `advice` says what to do."""

    about: str
    state: str
    text: str
    advice: str = ""


def show(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Prints them. Raises `typer.Exit` with 1 if something is wrong."""
    if as_json:
        output.print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            typer.secho(f"{finding.state:<8}", fg=_COLOURS[finding.state], nl=False)
            typer.echo(output.shown(f"{finding.about}: {finding.text}"))
            if finding.advice:
                typer.secho(f"        {output.shown(finding.advice)}", dim=True)
    if any(finding.state == PROBLEM for finding in findings):
        raise typer.Exit(exits.FAILED)
