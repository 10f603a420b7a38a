"""Begins a run's record, or goes on with one that was left unfinished."""

import contextlib
import itertools
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from runcast import contract
from runcast._recording import attempts, files, writers
from runcast._recording.recorder import Recorder
from runcast._recording.run_directory import RunDirectory, find_by_id, make_root, opening
from runcast._support import acceptable, encoding, times
from runcast._support.ids import uuid7
from runcast.errors import InvalidFile, NotResumable

logger = logging.getLogger("runcast")


Resume = Literal["allow", "must", "never"]


def open_run(
    root: Path,
    *,
    run_id: str | None = None,
    project: str | None = None,
    json_logs: bool = False,
    resume: Resume = "allow",
    job: str | None = None,
    warn: Callable[[str], object] = logger.warning,
    **fields: Any,
) -> Recorder:
    """The recorder of the run that `run_id` (a UUID or a key) names beneath `root`.

    A run whose record is unfinished goes on. If the process that has it still lives, this one is its
    guest. One that is finished, or whose files can't be believed, stays as it is: its name with `-2`,
    `-3` … is taken instead, with a warning; with `resume="never"` so is one that was left unfinished.
    Without `run_id` the run is new, or the next attempt of a `job`. What a person should know is given to
    `warn`. Raises `OSError` where nothing can be written, and `NotResumable` where `resume="must"` and
    there is no unfinished run.
    """
    make_root(root)
    if resume == "must" and run_id is None:
        raise NotResumable('resume="must" needs a run_id')
    if run_id is None and job is None:
        return _made(RunDirectory(root / str(uuid7())), project, json_logs, warn, fields)
    with contextlib.ExitStack() as turn:
        with contextlib.suppress(OSError):  # a stopped process holds the lock: names may meet, once
            turn.enter_context(opening(root))
        if run_id is None:
            return _attempt(root, acceptable.key(job), project, json_logs, warn, fields)
        return _named(root, str(run_id), project, json_logs, resume, warn, fields)


def join_run(root: Path, run_id: str, *, json_logs: bool = False) -> Recorder | None:
    """The recorder of a guest of a run that another process has, whether or not it is over; None if there
    is no such run."""
    directory = _directory(root, run_id)
    try:
        return Recorder(directory, directory.read_run(), json_logs=json_logs, is_guest=True)
    except (FileNotFoundError, InvalidFile):
        return None


def _attempt(
    root: Path,
    job: str,
    project: str | None,
    json_logs: bool,
    warn: Callable[[str], object],
    fields: dict[str, Any],
) -> Recorder:
    """The job's next attempt: `nightly-1`, `nightly-2` …, all of them with the label `job`."""
    number = attempts.next_number(root, job[:120])
    directory = RunDirectory(root / f"{job[:120]}-{number}")
    labels = {"job": job, **acceptable.labels(fields.pop("labels", None))}
    return _made(directory, project, json_logs, warn, {**fields, "labels": labels}, number)


def _named(
    root: Path,
    run_id: str,
    project: str | None,
    json_logs: bool,
    resume: Resume,
    warn: Callable[[str], object],
    fields: dict[str, Any],
) -> Recorder:
    for number, name in enumerate(_names(run_id)):
        directory = _directory(root, name)
        try:
            run = directory.read_run()
        except FileNotFoundError:
            if resume == "must":
                raise NotResumable(f"there is no unfinished run {run_id} in {root}") from None
            if number:
                warn(
                    f"the run {run_id} is finished, unreadable or not to be resumed; recording as {name}"
                )
            return _made(directory, project, json_logs, warn, fields)
        except InvalidFile as error:
            warn(f"{error}: it is left as it is")
            continue
        if run["finished_at"] is None and resume != "never":
            return _continued(directory, run, json_logs, warn)
    raise AssertionError("names never end")


def _continued(
    directory: RunDirectory, run: dict[str, Any], json_logs: bool, warn: Callable[[str], object]
) -> Recorder:
    writer = writers.read(directory.writer)
    is_guest = writers.is_another_that_lives(writer)
    if is_guest:
        warn(
            f"the run {directory.path.name} is also written by process {writer['pid']}: "
            "this one adds to it, and doesn't end it"
        )
    else:
        files.replace(directory.writer, encoding.encode(writers.this_process()))
    return Recorder(directory, run, json_logs=json_logs, is_guest=is_guest)


def _made(
    directory: RunDirectory,
    project: str | None,
    json_logs: bool,
    warn: Callable[[str], object],
    fields: dict[str, Any],
    attempt: int = 1,
) -> Recorder:
    directory.path.mkdir(exist_ok=True)
    named = project or os.environ.get("RUNCAST_PROJECT")
    run = new_run(directory.path.name, named, warn=warn, **fields)
    run["attempt"] = attempt
    files.replace(directory.writer, encoding.encode(writers.this_process()))
    # Another process that opens the same name finds it taken.
    files.replace(directory.run, encoding.encode(run))
    return Recorder(directory, run, json_logs=json_logs)


def _directory(root: Path, name: str) -> RunDirectory:
    found = find_by_id(root, name) if acceptable.as_uuid(name) is not None else None
    return found or RunDirectory(root / name)


def new_run(
    named: str,
    project: str | None,
    /,
    *,
    warn: Callable[[str], object] = logger.warning,
    **fields: Any,
) -> dict[str, Any]:
    """A run as run.json shows it before it has begun; `named` is its id or its key.

    Everything is made acceptable: what a server refuses of a run would cost the whole run.
    """
    is_id = acceptable.as_uuid(named) is not None
    steps = acceptable.steps(fields.pop("steps", None))
    metadata = acceptable.mapping(fields.pop("metadata", None))
    task_id = fields.pop("task_id", None)
    if task_id is not None and acceptable.as_uuid(task_id) is None:
        warn(f"task_id {encoding.as_text(task_id)[:200]!r} is no UUID: it is kept in metadata")
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
        **_related(fields),
    }


def _related(fields: dict[str, Any]) -> dict[str, Any]:
    """What only some runs have."""
    labels = acceptable.labels(fields.pop("labels", None))
    parent = acceptable.as_uuid(fields.pop("parent_run_id", None))
    given = {"labels": labels, "parent_run_id": parent and str(parent)}
    return {name: value for name, value in given.items() if value}


def _first_step(asked: str | None, steps: Sequence[str]) -> str:
    return asked if asked is not None and asked in steps else steps[0]


def _names(run_id: str) -> Iterator[str]:
    if (known := acceptable.as_uuid(run_id)) is not None:
        yield str(known)
        yield from (str(uuid7()) for _ in itertools.count())
    else:
        key = acceptable.key(run_id)
        yield key
        yield from (f"{key[:120]}-{number}" for number in itertools.count(2))
