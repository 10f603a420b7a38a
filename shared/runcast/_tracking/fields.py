"""What a run is made of and ends with, for type checkers: a misspelt name is found before the program runs.

At run time any name is taken: a call that is wrong costs a warning at most.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from runcast._recording.open_run import Resume
from runcast._tracking.settings import Mode


class RunOptions(TypedDict, total=False):
    """The options of `RunTracker`, without its name."""

    run_id: str | None
    project: str | None
    runs_dir: str | os.PathLike[str] | None
    json_logs: bool
    capture_output: bool
    steps: Iterable[str] | None
    phase: str | None
    current_step: str | None
    agent_type: str | None
    agent_name: str | None
    task_id: str | None
    input: Any
    metadata: dict[str, Any] | None
    labels: Mapping[str, str] | None
    parent_run_id: str | None
    join: bool
    handle_signals: bool
    resume: Resume
    job: str | None
    mode: Mode | None
    url: str | None
    token: str | None
    offline: bool
    flush_seconds: float
    heartbeat_seconds: float


class RunFields(RunOptions, total=False):
    """The options of `RunTracker`."""

    name: str | None


class RunEnd(TypedDict, total=False):
    """What the end of a run may say besides its status and error."""

    result: Any
    pr_url: str | None
