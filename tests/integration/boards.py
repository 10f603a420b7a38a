"""A board over HTTP, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from tests.integration.rest import Rest

Json = dict[str, Any]


@dataclass(frozen=True)
class Board:
    """A project's board as an administrator's key sees it."""

    rest: Rest
    project: str = "demo"

    async def post(self, path: str, expect: int, **body: Any) -> Json:
        return await self.send("POST", path, expect, json=body)

    async def send(self, method: str, path: str, expect: int, **arguments: Any) -> Json:
        answer: httpx.Response = await self.rest.admin.request(method, path, **arguments)
        assert answer.status_code == expect, answer.text
        found: Json = answer.json() if answer.content else {}
        return found

    async def task(self, *subtasks: Json, is_active: bool = True, **members: Any) -> Json:
        """A task with subtasks; active unless told otherwise."""
        body = {"title": "A task", "subtasks": list(subtasks)} | members
        task = await self.post(f"/projects/{self.project}/tasks", 201, **body)
        if is_active:
            task = await self.post(f"/tasks/{task['id']}/activate", 200)
        return task

    async def claim(self, worker: str = "w1", expect: int = 200, **members: Any) -> Json:
        path = f"/projects/{self.project}/subtasks/claim"
        return await self.post(path, expect, worker_id=worker, **members)

    async def move(self, subtask: Json, move: str, expect: int = 200, **members: Any) -> Json:
        return await self.post(f"/subtasks/{subtask['id']}/{move}", expect, **members)

    async def done(self, subtask: Json) -> None:
        """Starts and completes a subtask, as a person would."""
        await self.move(subtask, "start")
        await self.move(subtask, "complete")

    async def task_now(self, task: Json) -> Json:
        return await self.send("GET", f"/tasks/{task['id']}", 200)

    async def statuses(self, task: Json) -> dict[str, str]:
        """The subtasks' statuses by key or title."""
        now = await self.task_now(task)
        return {each["key"] or each["title"]: each["status"] for each in now["subtasks"]}


def chain(number: int, **members: Any) -> list[Json]:
    """Subtasks s0, s1, …, each waiting for the one before."""
    return [
        {"title": f"s{n}", "key": f"s{n}", "depends_on": [f"s{n - 1}"] if n else []} | members
        for n in range(number)
    ]
