"""`runcast inbox`: what agents ask, oldest first."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from runcast import errors
from runcast._support.terminal import escaped
from runcast.cli import output, rich_output, waiting_runs
from runcast.cli.context import Context, connect
from runcast.cli.rich_output import said
from runcast.client.clients import Client

POLL_SECONDS = 1.0
SHORTEST_ID = 8
LONG_COMMAND = 3_500
"""Characters up to which a body is printed whole; of a longer one head and tail, and how much is left out."""

Json = Mapping[str, Any]


def register(app: typer.Typer) -> None:
    app.command("inbox", rich_help_panel="Runs")(inbox)


def inbox(
    ctx: Context,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on, and print what is asked and answered.")
    ] = False,
    project: output.Project = None,
    as_json: output.AsJson = False,
) -> None:
    """Show the open questions of agents, oldest first: of a project, or of all that you may see. Below stand
    sessions that only a watcher sees wait, with where each of them is answered.

    Examples:

    runcast inbox

    runcast inbox -f

    runcast answer 019ac3f2 allow
    """
    project = project or os.environ.get("RUNCAST_PROJECT")
    with connect(ctx) as client:
        known: list[Json] = list(client.iter_questions(state="open", project=project, limit=1000))
        if as_json and not follow:
            output.print_json({"questions": known, "total": len(known)})
            return
        names: dict[str, str] = {}
        _print_all(client, known, names, as_json)
        if not as_json:
            elsewhere = waiting_runs.found(client, project)
            waiting_runs.print_all(elsewhere)
            if not known and not elsewhere.runs and elsewhere.is_all:
                output.say("No one waits for you.")
        while follow:
            time.sleep(POLL_SECONDS)
            now: list[Json] = list(client.iter_questions(state="open", project=project, limit=1000))
            ids, before = {each["id"] for each in now}, {each["id"] for each in known}
            fresh = [each for each in now if each["id"] not in before]
            _print_all(client, fresh, names, as_json)
            for gone in (each for each in known if each["id"] not in ids):
                _print_closed(client.get_question(gone["id"]), as_json)
            known = now


def short_ids(ids: Iterable[str]) -> dict[str, str]:
    """Beginnings by which each of these ids can be told from the others."""
    ordered = sorted(ids)
    shown: dict[str, str] = {}
    for place, id in enumerate(ordered):
        neighbours = ordered[max(place - 1, 0) : place] + ordered[place + 1 : place + 2]
        length = SHORTEST_ID
        while length < len(id) and any(other[:length] == id[:length] for other in neighbours):
            length += 1
        shown[id] = id[:length]
    return shown


def _print_all(client: Client, questions: list[Json], names: dict[str, str], as_json: bool) -> None:
    """Prints questions; `names` keeps those of their runs."""
    ids = short_ids(question["id"] for question in questions)
    for question in questions:
        if as_json:
            output.print_json_line(question)
        else:
            run_id = question["run_id"]
            if run_id not in names:
                names[run_id] = run_name(client, run_id)
            print_question(question, ids[question["id"]], names[run_id])


def _print_closed(question: Json, as_json: bool) -> None:
    if as_json:
        output.print_json_line(question)
        return
    given = question["answer"] or {}
    answered = (
        given.get("option") or given.get("options") or given.get("text") or given.get("data") or ""
    )
    by = (given.get("by") or {}).get("name") or ""
    words = " ".join(
        str(word) for word in (question["title"], "→", question["state"], answered, by) if word
    )
    output.say(words)


def print_question(question: Json, id: str, run: str) -> None:
    """A question for a person: its title, all that it says, how it can be answered, and its run's name."""
    out = rich_output.console()
    asked_by = (question["asked_by"] or {}).get("name") or question["via"]
    where = f"  {question['kind']} of {run}, asked by {asked_by}"
    out.print(
        said(id, "cyan"),
        said(escaped(question["title"]), "bold"),
        said(escaped(where), "bright_black"),
    )
    if question["body"]:
        out.print(said(indented(question["body"])))
    for part in question["parts"] or ():
        out.print(said(f"  {part['id']}: {escaped(part['title'])}"))
        _print_options(part["options"])
    _print_options(question["options"] or [])
    if not question["answerable"]:
        out.print(said("  It can only be answered where the agent runs.", "yellow"))


def run_name(client: Client, run_id: str) -> str:
    """What a person knows a run by: its name and its key."""
    try:
        run = client.get_run(run_id)
    except errors.NotFound:
        return f"run {run_id}"
    name, key = run["name"], run["key"]
    return f"{name} ({key})" if name and key else f"run {name or key or run_id}"


def _print_options(options: list[Json]) -> None:
    for option in options:
        name, label = escaped(option["id"]), escaped(option["label"])
        rich_output.console().print(said(f"    {name}" + (f"  {label}" if label != name else "")))


def indented(body: str) -> str:
    """A body as it is printed: what is approved is read whole, or one sees how much is left out."""
    text = body
    if len(text) > LONG_COMMAND:
        left_out = len(text) - LONG_COMMAND
        half = LONG_COMMAND // 2
        text = (
            f"{text[:half]}\n⋯ {left_out:,} characters left out; --json shows all ⋯\n{text[-half:]}"
        )
    return "\n".join(f"    {line}" for line in escaped(text).split("\n"))
