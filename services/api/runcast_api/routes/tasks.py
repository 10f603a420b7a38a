"""`/projects/{project}/tasks`, `/tasks`: what a planner breaks down, and its history."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from runcast_api.board import access as board_access
from runcast_api.board import deletion, subtasks, tasks, transitions
from runcast_api.board.board import Json, changing
from runcast_api.board.deletion import Deleted
from runcast_api.board.schemas import Subtask, SubtaskNew
from runcast_api.board.tasks import Task, TaskMoved, TaskNew, TaskPage, TaskPatch
from runcast_api.board.transitions import TaskMove, TaskStatus, TransitionPage
from runcast_api.dependencies import ApiState, Caller, OnceOnly
from runcast_api.http.many import Separated
from runcast_api.http.pagination import CursorText, Limit
from runcast_api.http.precondition import IfMatch
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import Answer, answer
from runcast_api.routes.run_filters import SEVERAL
from runcast_server.auth import access, rights
from runcast_server.eventlog.log import Transaction

router = APIRouter(tags=["tasks"], route_class=JsonRoute)

Statuses = Annotated[list[TaskStatus] | None, Separated, Query(description=SEVERAL)]
DryRun = Annotated[bool, Query(description="Only say what would go.")]


@router.post("/projects/{project}/tasks", status_code=201, response_model=Task)
async def create_task(
    project: str, body: TaskNew, api: ApiState, caller: Caller, once: OnceOnly
) -> Response:
    """Creates a task in the status `PLANNING`, optionally with its first subtasks."""
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project, rights.PLAN)

    async def change(transaction: Transaction) -> Answer:
        async with changing(transaction, found.id, caller.name) as board:
            task, is_new = await tasks.create(board, body, caller.user_id)
        return Answer(task, 201 if is_new else 200)

    return await once.commit(api.resources.eventlog, found.id, change)


@router.get("/projects/{project}/tasks", response_model=TaskPage)
async def list_tasks(
    project: str,
    api: ApiState,
    caller: Caller,
    status: Statuses = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Response:
    """Returns the board: tasks by position, each with its subtasks."""
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project)
        page = await tasks.page(connection, api.rendered, found.id, status, limit, cursor)
    return answer(page, head=found.head)


@router.get("/tasks/{task}", response_model=Task)
async def show_task(task: str, api: ApiState, caller: Caller) -> Response:
    """Returns the task with its subtasks."""
    async with api.database.acting(caller) as connection:
        task_id, found = await board_access.task(connection, caller, task)
        shown = await tasks.show(connection, task_id, api.rendered)
    return answer(shown, head=found.head)


@router.patch("/tasks/{task}", response_model=Task)
async def change_task(
    task: str, body: TaskPatch, api: ApiState, caller: Caller, if_match: IfMatch
) -> Response:
    """Changes a task's title, description, kind or position. Members that are absent stay."""
    async with api.database.acting(caller) as connection:
        task_id, found = await board_access.task(connection, caller, task, rights.PLAN)

    async def change(transaction: Transaction) -> Json:
        async with changing(transaction, found.id, caller.name) as board:
            await if_match.require(lambda: tasks.show(board.connection, task_id))
            return await tasks.patch(board, task_id, body)

    shown, head = await api.resources.eventlog.commit_with_head(found.id, change)
    return answer(shown, head=head)


@router.delete("/tasks/{task}", response_model=Deleted)
async def delete_task(
    task: str, api: ApiState, caller: Caller, dry_run: DryRun = False
) -> Response:
    """Deletes the task with its subtasks. Returns everything that was deleted; with `dry_run`, what would
    be."""
    async with api.database.acting(caller) as connection:
        task_id, found = await board_access.task(connection, caller, task, rights.ERASE)
        if dry_run:
            return answer(await deletion.explain_task(connection, task_id), head=found.head)

    async def change(transaction: Transaction) -> Json:
        async with changing(transaction, found.id, caller.name) as board:
            return await deletion.delete_task(board, task_id)

    told, head = await api.resources.eventlog.commit_with_head(found.id, change)
    return answer(told, head=head)


@router.post("/tasks/{task}/subtasks", status_code=201, response_model=Subtask)
async def add_subtask(
    task: str, body: SubtaskNew, api: ApiState, caller: Caller, once: OnceOnly
) -> Response:
    """Adds a subtask to a task that is being planned or active."""
    async with api.database.acting(caller) as connection:
        task_id, found = await board_access.task(connection, caller, task, rights.PLAN)

    async def change(transaction: Transaction) -> Answer:
        async with changing(transaction, found.id, caller.name) as board:
            there = await subtasks.existing(board.connection, body.id, task_id)
            if there is not None:
                return Answer(there, 200)
            parent = await tasks.lock(board, task_id)
            [made] = await subtasks.add(board, parent, [body], caller.user_id)
        return Answer(made, 201)

    return await once.commit(api.resources.eventlog, found.id, change)


@router.get("/tasks/{task}/transitions", response_model=TransitionPage)
async def list_transitions(
    task: str,
    api: ApiState,
    caller: Caller,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Response:
    """Lists every change of status of the task and its subtasks: who, why, when; newest first."""
    async with api.database.acting(caller) as connection:
        task_id, found = await board_access.task(connection, caller, task)
        page = await transitions.page(connection, task_id, limit, cursor)
    return answer(page, head=found.head)


@router.post("/tasks/{task}/{move}", response_model=Task)
async def move_task(
    task: str,
    move: TaskMove,
    api: ApiState,
    caller: Caller,
    once: OnceOnly,
    body: TaskMoved | None = None,
) -> Response:
    """Makes a transition of the task: `PLANNING` → `ACTIVE`, `PLANNING` → `PLANNING_FAILED` and back, or
    `DONE` → `ACTIVE`."""
    async with api.database.acting(caller) as connection:
        task_id, found = await board_access.task(connection, caller, task, rights.PLAN)

    async def change(transaction: Transaction) -> Answer:
        async with changing(transaction, found.id, caller.name) as board:
            reason = body.reason if body else None
            return Answer(await tasks.move(board, task_id, move, reason))

    return await once.commit(api.resources.eventlog, found.id, change)
