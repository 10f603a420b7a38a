"""Tasks, subtasks and their claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runcast.client.calls import Call, Json, given, path

if TYPE_CHECKING:
    from runcast.client import answers


def create_task(
    project: str, title: str, *, subtasks: Sequence[Json] | None = None, **fields: Any
) -> Call[answers.Task]:
    """A subtask takes title, key, description, input, priority, max_attempts, depends_on."""
    body = {"title": title, **given(subtasks=subtasks), **fields}
    return Call("POST", path("/projects/{}/tasks", project), json=body)


def list_tasks(
    project: str,
    *,
    status: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[answers.TaskPage]:
    params = {"status": status, "limit": limit, "cursor": cursor}
    return Call("GET", path("/projects/{}/tasks", project), params)


def get_task(task: str) -> Call[answers.Task]:
    """The task with its subtasks."""
    return Call("GET", path("/tasks/{}", task))


def update_task(task: str, **fields: Any) -> Call[answers.Task]:
    return Call("PATCH", path("/tasks/{}", task), json=fields)


def delete_task(task: str, *, dry_run: bool | None = None) -> Call[answers.Deleted]:
    """Returns everything that was deleted; with `dry_run`, what would be."""
    return Call("DELETE", path("/tasks/{}", task), {"dry_run": dry_run})


def move_task(task: str, action: str, **fields: Any) -> Call[answers.Task]:
    """`action`: activate, planning-failed, retry-planning, reopen."""
    return Call("POST", path("/tasks/{}/{}", task, action), json=fields)


def task_transitions(
    task: str, *, limit: int | None = None, cursor: str | None = None
) -> Call[answers.TransitionPage]:
    """Every change of a status of the task and its subtasks, newest first."""
    params = {"limit": limit, "cursor": cursor}
    return Call("GET", path("/tasks/{}/transitions", task), params)


def create_subtask(task: str, title: str, **fields: Any) -> Call[answers.Subtask]:
    return Call("POST", path("/tasks/{}/subtasks", task), json={"title": title, **fields})


def get_subtask(subtask: str) -> Call[answers.Subtask]:
    return Call("GET", path("/subtasks/{}", subtask))


def update_subtask(subtask: str, **fields: Any) -> Call[answers.Subtask]:
    return Call("PATCH", path("/subtasks/{}", subtask), json=fields)


def delete_subtask(subtask: str, *, dry_run: bool | None = None) -> Call[answers.Deleted]:
    """Returns everything that was deleted; with `dry_run`, what would be."""
    return Call("DELETE", path("/subtasks/{}", subtask), {"dry_run": dry_run})


def move_subtask(subtask: str, action: str, **fields: Any) -> Call[answers.Subtask]:
    """`action`: start, complete, fail, review, merge, skip, retry. Takes worker_id, reason,
    run_id, pr_url."""
    return Call("POST", path("/subtasks/{}/{}", subtask, action), json=fields)


def claim_subtask(
    worker_id: str, *, project: str | None = None, lease_s: float | None = None
) -> Call[answers.Claimed | None]:
    """The next pending subtask and its run, or None; without `project` from any that the key may
    work in."""
    where = "/subtasks/claim" if project is None else path("/projects/{}/subtasks/claim", project)
    return Call("POST", where, json=given(worker_id=worker_id, lease_s=lease_s))


def extend_lease(subtask: str, worker_id: str, lease_s: float) -> Call[answers.Subtask]:
    body = {"worker_id": worker_id, "lease_s": lease_s}
    return Call("POST", path("/subtasks/{}/lease", subtask), json=body)
