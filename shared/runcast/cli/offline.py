"""Runs as their files show them, where no server is asked."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runcast import errors
from runcast._recording.run_directory import RunDirectory, directories, is_run
from runcast._support import times
from runcast.cli import finding
from runcast.cli.output import say
from runcast.contract import is_key
from runcast.errors import InvalidFile

Json = dict[str, Any]


SEARCHED = ("id", "key", "name", "agent_name", "agent_type", "current_step")


def list_runs(root: Path, status: str | None, search: str | None, limit: int) -> Json:
    """As the API lists and searches them; a run whose files can't be believed is named on stderr."""
    found = [run for _, run in _known(root)]
    runs = [run for run in found if status in (None, run["status"]) and _has(run, search)]
    runs.sort(key=lambda run: (run["created_at"], run["id"]), reverse=True)
    return {"runs": runs[:limit], "total": len(runs), "next_cursor": None}


def _known(root: Path) -> list[tuple[RunDirectory, Json]]:
    found = []
    for directory in directories(root):
        try:
            found.append((directory, read_run(directory)))
        except InvalidFile as error:
            say(f"runcast: {error}")
    return found


def read_run(directory: RunDirectory) -> Json:
    """run.json, or what can be told of a run without one: another program's. Raises `InvalidFile`."""
    try:
        return directory.read_run()
    except FileNotFoundError:
        pass
    name = directory.path.name
    began = datetime.fromtimestamp(directory.path.stat().st_mtime, UTC)
    run = {"id": name, "key": name, "status": "running", "created_at": times.to_seconds(began)}
    try:
        status = directory.read_status()
    except FileNotFoundError:
        return run
    return {**run, "status": status["status"], "error": status.get("error")}


def _has(run: Json, search: str | None) -> bool:
    text = " ".join(run.get(member) or "" for member in SEARCHED).lower()
    return all(word in text for word in (search or "").lower().split())


def show_run(root: Path, run: str) -> Json:
    directory = find(root, run)
    return {**read_run(directory), "artifacts": directory.read_artifacts()}


def find(root: Path, run: str) -> RunDirectory:
    """The directory of a run, by path or by what `finding` knows. Raises `NotFound` and `Conflict`."""
    run = run.lstrip("…")
    if is_key(run) and (root / run).is_dir():
        return RunDirectory(root / run)
    if "/" in run and is_run(Path(run)):
        return RunDirectory(Path(run).absolute())
    known = _known(root)
    if run == finding.LAST and known:
        return max(known, key=lambda each: (each[1]["created_at"], each[1]["id"]))[0]
    meant = finding.the_one(run, [found for _, found in known])
    for directory, found in known:
        if found is meant:
            return directory
    raise errors.NotFound(404, "Not found", f"no run {run} in {root}")
