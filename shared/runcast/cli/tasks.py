"""`runcast tasks`: lists, shows, adds and moves tasks and subtasks."""

import itertools
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from runcast import errors
from runcast.cli import output
from runcast.cli.context import Context, connect, project_or_default
from runcast.client.clients import Client

app = typer.Typer(no_args_is_help=True, help="List, show, add and move tasks and subtasks.")

TASK_MOVES = ("activate", "planning-failed", "retry-planning", "reopen")
SUBTASK_MOVES = ("start", "complete", "fail", "review", "merge", "skip", "retry")
DONE = ("COMPLETED", "MERGED", "SKIPPED")

Id = Annotated[str, typer.Argument(metavar="ID", help="The id of a task or a subtask.")]


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="tasks", rich_help_panel="Tasks")


@app.command()
def ls(
    ctx: Context,
    project: output.Project = None,
    status: Annotated[
        str | None, typer.Option(help="PLANNING, PLANNING_FAILED, ACTIVE or DONE.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="Maximum number to list.")] = 20,
    as_json: output.AsJson = False,
) -> None:
    """List a project's tasks in the order of its board, with how far each is.

    Example:

    runcast tasks ls -p demo --status ACTIVE
    """
    with connect(ctx) as client:
        page = client.list_tasks(project_or_default(project), status=status, limit=limit)
    if as_json:
        output.print_json(page)
        return
    output.print_table(
        ("id", "status", "title", "done", "subtasks"),
        (
            (task["id"], task["status"], task["title"], _progress(task), _counts(task))
            for task in page["tasks"]
        ),
    )


def _progress(task: Mapping[str, Any]) -> str:
    done = sum(subtask["status"] in DONE for subtask in task["subtasks"])
    return f"{done}/{len(task['subtasks'])}"


def _counts(task: Mapping[str, Any]) -> str:
    counts = Counter(subtask["status"] for subtask in task["subtasks"])
    return ", ".join(f"{number} {status}" for status, number in counts.most_common())


@app.command()
def show(ctx: Context, id: Id, as_json: output.AsJson = False) -> None:
    """Show a task with its subtasks, or one subtask.

    Example:

    runcast tasks show 0190c0de-…
    """
    with connect(ctx) as client:
        found = _find(client, id)
    if as_json:
        output.print_json(found)
        return
    subtasks = found.get("subtasks")
    output.print_fields({name: value for name, value in found.items() if name != "subtasks"})
    if subtasks:
        names = {subtask["id"]: subtask["key"] or subtask["title"] for subtask in subtasks}
        typer.echo()
        output.print_table(
            ("id", "status", "title", "waits for", "worker", "attempt", "why"),
            ((_row(subtask, names)) for subtask in subtasks),
        )


def _row(subtask: Mapping[str, Any], names: dict[str, str]) -> tuple[Any, ...]:
    return (
        subtask["id"],
        subtask["status"],
        subtask["title"],
        ", ".join(names.get(id, id) for id in subtask["depends_on"]) or None,
        subtask["worker_id"],
        subtask["attempt"],
        subtask["error"] or subtask["skip_reason"],
    )


@app.command()
def add(
    ctx: Context,
    title: Annotated[
        str | None, typer.Argument(help="The task's, or the subtask's, title.")
    ] = None,
    project: output.Project = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="A JSON file with the whole task; - is stdin."),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="TASK", help="Add a subtask to this task.")
    ] = None,
    description: Annotated[str | None, typer.Option("--description", "-d")] = None,
    subtasks: Annotated[
        list[str] | None, typer.Option("--subtask", "-s", help="A subtask's title; repeatable.")
    ] = None,
    after: Annotated[
        list[str] | None,
        typer.Option("--after", help="With --to: a subtask (id or key) to wait for; repeatable."),
    ] = None,
    in_order: Annotated[
        bool, typer.Option("--in-order", help="Each --subtask waits for the one before.")
    ] = False,
    activate: Annotated[
        bool, typer.Option("--activate", help="Let workers claim its subtasks at once.")
    ] = False,
    as_json: output.AsJson = False,
) -> None:
    """Add a task, perhaps with subtasks; or with --to a subtask.

    Examples:

    runcast tasks add "Release 2" -s build -s test -s publish --in-order --activate

    runcast tasks add -f task.json

    runcast tasks add "Fix the docs" --to TASK --after build
    """
    if (title is None) == (file is None):
        raise typer.BadParameter("give either a title or --file")
    with connect(ctx) as client:
        if to is not None:
            fields = {"description": description} if description else {}
            made: Mapping[str, Any] = client.create_subtask(
                to, str(title), depends_on=after or [], **fields
            )
        else:
            body = _read(file) if file else _body(str(title), description, subtasks, in_order)
            made = client.create_task(project_or_default(project), **body)
            if activate:
                made = client.move_task(made["id"], "activate")
    _print(made, as_json)


def _body(
    title: str, description: str | None, subtasks: list[str] | None, in_order: bool
) -> Mapping[str, Any]:
    names = subtasks or []
    made: list[dict[str, Any]] = [
        {"title": name, "key": f"s{place}"} for place, name in enumerate(names, 1)
    ]
    if in_order:
        for before, subtask in itertools.pairwise(made):
            subtask["depends_on"] = [before["key"]]
    fields = {"description": description} if description else {}
    return {"title": title, "subtasks": made, **fields}


def _read(file: Path) -> Mapping[str, Any]:
    try:
        raw = typer.get_binary_stream("stdin").read() if str(file) == "-" else file.read_bytes()
        body = orjson.loads(raw)
    except (OSError, ValueError) as error:
        raise errors.RuncastError(f"{file}: {error}") from error
    if not isinstance(body, dict) or "title" not in body:
        raise errors.RuncastError(f"{file}: not an object with a title")
    return body


@app.command()
def move(
    ctx: Context,
    id: Id,
    step: Annotated[
        str,
        typer.Argument(
            metavar="STEP",
            help=f"Of a task: {', '.join(TASK_MOVES)}. Of a subtask: {', '.join(SUBTASK_MOVES)}.",
        ),
    ],
    reason: Annotated[
        str | None, typer.Option("--reason", "-r", help="Kept in its history.")
    ] = None,
    pr_url: Annotated[str | None, typer.Option(help="A subtask's pull request.")] = None,
    worker_id: Annotated[
        str | None, typer.Option(help="Speak for the worker that holds a subtask's lease.")
    ] = None,
    as_json: output.AsJson = False,
) -> None:
    """Take a task or a subtask one step on.

    Examples:

    runcast tasks move ID activate

    runcast tasks move ID skip -r "not needed"
    """
    if step not in (*TASK_MOVES, *SUBTASK_MOVES):
        raise typer.BadParameter(f"no step {step!r}")
    given = {"reason": reason, "pr_url": pr_url, "worker_id": worker_id}
    fields = {name: value for name, value in given.items() if value is not None}
    with connect(ctx) as client:
        go = client.move_task if step in TASK_MOVES else client.move_subtask
        _print(go(id, step, **fields), as_json)


@app.command()
def rm(
    ctx: Context,
    id: Id,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: output.AsJson = False,
) -> None:
    """Delete a task or a subtask, and say what else went.

    Example:

    runcast tasks rm ID --dry-run
    """
    with connect(ctx) as client:
        is_subtask = "task_id" in _find(client, id)
        told = (
            client.delete_subtask(id, dry_run=dry_run)
            if is_subtask
            else client.delete_task(id, dry_run=dry_run)
        )
    if as_json:
        output.print_json(told)
    else:
        output.print_fields(told)


def _find(client: Client, id: str) -> Mapping[str, Any]:
    try:
        return client.get_task(id)
    except errors.NotFound:
        return client.get_subtask(id)


def _print(found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        output.print_json(found)
    else:
        output.print_line(
            output.shown(found["id"]), output.status(found["status"]), output.shown(found["title"])
        )
