"""`runcast answer`: answers a question of an agent."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
import typer

from runcast import errors
from runcast._support.acceptable import as_uuid
from runcast._support.terminal import harmless
from runcast.cli import output
from runcast.cli.context import Context, connect
from runcast.cli.inbox import print_question, run_name
from runcast.client.clients import Client

Json = Mapping[str, Any]


def register(app: typer.Typer) -> None:
    app.command("answer", rich_help_panel="Runs")(answer)


def answer(
    ctx: Context,
    question: Annotated[
        str, typer.Argument(metavar="ID", help="The beginning of the question's id.")
    ],
    option: Annotated[
        list[str] | None, typer.Argument(metavar="[OPTION]…", help="The id of the option.")
    ] = None,
    message: Annotated[
        str | None, typer.Option("--message", "-m", help="A text: the answer, or a word with it.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="JSON by field or part, of a form or of parts.")
    ] = None,
    as_json: output.AsJson = False,
) -> None:
    """Answer a question. Without an option or a text it is shown, and you are asked on a terminal.

    Examples:

    runcast answer 019ac3f2 allow

    runcast answer 019ac3f2 deny -m "not on this machine"
    """
    options = option or []
    with connect(ctx) as client:
        found = _find(client, question)
        if not options and message is None and data is None:
            print_question(found, found["id"], run_name(client, found["run_id"]))
            if not sys.stdin.isatty():
                raise typer.BadParameter("name an option, or give a text with -m")
            options, message = _prompt(found)
        many = found["multiple"] or len(options) > 1
        answered = client.answer_question(
            found["id"],
            option=None if many or not options else options[0],
            options=options if many else None,
            text=message,
            data=_parsed(data),
            via="cli",
        )
    if as_json:
        output.print_json(answered)
    else:
        output.say(f"{answered['title']} → {answered['state']}")


def _find(client: Client, reference: str) -> Json:
    """The question with this id, or the only open one whose id begins so."""
    if as_uuid(reference):
        whole: Json = client.get_question(reference)
        return whole
    begun = [
        each
        for each in client.iter_questions(state="open", limit=1000)
        if each["id"].startswith(reference.lower())
    ]
    if not begun:
        raise errors.RuncastError(f"no open question whose id begins with {reference!r}")
    if len(begun) > 1:
        raise errors.RuncastError(
            f"{len(begun)} open questions have ids that begin with {reference!r}"
        )
    found: Json = begun[0]
    return found


def _prompt(question: Json) -> tuple[list[str], str | None]:
    if question["options"]:
        names = [each["id"] for each in question["options"]]
        chosen = typer.prompt(f"Answer ({', '.join(harmless(n, colours=False) for n in names)})")
        takes_text = any(o["id"] == chosen and o["text"] for o in question["options"])
        text = typer.prompt("Say something with it", default="") if takes_text else ""
        return [chosen], text or None
    return [], typer.prompt("Answer")


def _parsed(data: str | None) -> dict[str, Any] | None:
    if data is None:
        return None
    try:
        parsed: dict[str, Any] = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise typer.BadParameter(f"--data is not JSON: {error}") from error
    return parsed
