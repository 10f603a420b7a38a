"""Runs as their files show them, where no server is asked."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runcast import errors
from runcast._recording.run_directory import RunDirectory, directories
from runcast._support.acceptable import as_uuid
from runcast.cli.output import say
from runcast.errors import InvalidFile

Json = dict[str, Any]


SEARCHED = ("id", "key", "name", "agent_name", "agent_type", "current_step")


def list_runs(root: Path, status: str | None, search: str | None, limit: int) -> Json:
    """As the API lists and searches them; a run whose files can't be believed is named on stderr."""
    found = []
    for directory in directories(root):
        try:
            found.append(directory.read_run())
        except InvalidFile as error:
            say(f"runcast: {error}")
        except FileNotFoundError:
            say(f"runcast: {directory.path} has no run.json")
    runs = [run for run in found if status in (None, run["status"]) and _has(run, search)]
    runs.sort(key=lambda run: (run["created_at"], run["id"]), reverse=True)
    return {"runs": runs[:limit], "total": len(runs), "next_cursor": None}


def _has(run: Json, search: str | None) -> bool:
    text = " ".join(run.get(member) or "" for member in SEARCHED).lower()
    return all(word in text for word in (search or "").lower().split())


def show_run(root: Path, run: str) -> Json:
    directory = find(root, run)
    return {**directory.read_run(), "artifacts": directory.read_artifacts()}


def find(root: Path, run: str) -> RunDirectory:
    """The directory of a run, by key, id or path. Raises `NotFound`."""
    for directory in (RunDirectory(root / run), RunDirectory(Path(run).absolute())):
        if directory.path.is_dir():
            return directory
    if as_uuid(run):
        for directory in directories(root):
            if directory.run.exists() and directory.read_run()["id"] == run:
                return directory
    raise errors.NotFound(404, "Not found", f"no run {run} in {root}")


def log_lines(directory: RunDirectory, tail: int | None) -> Iterator[str]:
    """The lines of logs.txt, or the last of them."""
    with directory.logs.open(encoding="utf-8", errors="replace", newline="\n") as file:
        lines = file if tail is None else deque(file, maxlen=tail)
        for line in lines:
            yield line.rstrip("\n")
