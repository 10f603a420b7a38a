"""Begins a run's record, or goes on with one that was left unfinished."""

import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runcast import contract
from runcast._recording.recorder import Recorder
from runcast._recording.run_directory import RunDirectory
from runcast._support import acceptable, times
from runcast._support.ids import uuid7
from runcast.errors import InvalidFile

logger = logging.getLogger("runcast")


def open_run(
    root: Path,
    *,
    run_id: str | None = None,
    project: str | None = None,
    json_logs: bool = False,
    **fields: Any,
) -> Recorder:
    """The recorder of the run that `run_id` (a UUID or a key) names beneath `root`.

    A run whose record is unfinished goes on, whoever began it. One that is finished, or whose
    files can't be believed, stays as it is: its name with `-2`, `-3` … is taken instead, with a
    warning. Without `run_id` the run is new. Raises `OSError` where nothing can be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    for name in _names(run_id):
        directory = RunDirectory(root / name)
        try:
            known = _unfinished(directory)
        except InvalidFile as error:
            logger.warning("%s is left as it is", error)
            continue
        if known is None:
            continue
        directory.path.mkdir(exist_ok=True)
        if run_id is not None and name != run_id:
            logger.warning("the run %s is finished or unreadable; recording as %s", run_id, name)
        run = known or new_run(name, project or os.environ.get("RUNCAST_PROJECT"), **fields)
        return Recorder(directory, run, json_logs=json_logs)
    raise AssertionError("names never end")


def new_run(named: str, project: str | None, /, **fields: Any) -> dict[str, Any]:
    """A run as run.json shows it before it has begun; `named` is its id or its key.

    Everything is made acceptable: what a server refuses of a run would cost the whole run.
    """
    is_id = acceptable.as_uuid(named) is not None
    steps = acceptable.steps(fields.pop("steps", None))
    metadata = acceptable.mapping(fields.pop("metadata", None))
    task_id = fields.pop("task_id", None)
    if task_id is not None and acceptable.as_uuid(task_id) is None:
        logger.warning("task_id %.200r is no UUID: it is kept in the run's metadata", task_id)
        metadata.setdefault("task_id", acceptable.name(task_id))
        task_id = None
    moment = times.to_seconds(times.now())
    return {
        "id": named if is_id else str(uuid7()),
        "key": None if is_id else named,
        "project": acceptable.project(project or contract.DEFAULT_PROJECT),
        "project_id": None,
        "name": acceptable.title(fields.pop("name", None)),
        "phase": acceptable.name(fields.pop("phase", None)) or "phase1",
        "current_step": _first_step(acceptable.name(fields.pop("current_step", None)), steps),
        "steps": steps,
        "status": "queued",
        "agent_type": acceptable.name(fields.pop("agent_type", None)),
        "agent_name": acceptable.name(fields.pop("agent_name", None)),
        "task_id": None if task_id is None else str(acceptable.as_uuid(task_id)),
        "attempt": 1,
        "retry_of": None,
        "error": None,
        "will_retry": None,
        "result": None,
        "pr_url": None,
        "input": acceptable.json(fields.pop("input", None)),
        "metadata": metadata,
        "progress": None,
        "liveness": "ok",
        "last_line_number": 0,
        "step_timestamps": {},
        "created_at": moment,
        "started_at": None,
        "finished_at": None,
        "updated_at": moment,
    }


def _first_step(asked: str | None, steps: Sequence[str]) -> str:
    return asked if asked is not None and asked in steps else steps[0]


def _names(run_id: str | None) -> Iterator[str]:
    if run_id is None:
        yield from (str(uuid7()) for _ in itertools.count())
    elif (known := acceptable.as_uuid(run_id)) is not None:
        yield str(known)
        yield from (str(uuid7()) for _ in itertools.count())
    else:
        key = acceptable.key(run_id)
        yield key
        yield from (f"{key[:120]}-{number}" for number in itertools.count(2))


def _unfinished(directory: RunDirectory) -> dict[str, Any] | None:
    """run.json of a run to go on with; empty if it is new; None if it is finished."""
    try:
        run = directory.read_run()
    except FileNotFoundError:
        return {}
    return run if run["finished_at"] is None else None
