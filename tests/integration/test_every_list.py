"""Every list with a cursor: what was there when paging began is shown once, whatever is added meanwhile."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from fastapi.routing import APIRoute

from runcast_api import routes
from tests.integration.rest import Rest, serving

pytestmark = pytest.mark.anyio

OTHERS = {
    "GET /runs/{run}/logs": "lines by number: `test_api_logs`",
    "GET /admin/segments/check": "goes through segments, and shows faults alone",
}
"""Operations with a cursor that this doesn't page through."""

SESSION = """INSERT INTO sessions (id, user_id, token_hash, method, expires_at)
    VALUES ($1, $2, $3, 'password', now() + interval '1 day')"""
REJECT = """INSERT INTO ingest_rejects (stream_id, project_id, reason, message)
    VALUES ('1-1', $1, 'r', '{}')"""
DELIVERY = """INSERT INTO webhook_deliveries (id, webhook_id, project_id, event_id, type)
    VALUES ($1, $2, $3, $4, 'run:created')"""


@dataclass
class Place:
    """Where the lists are, and what makes a member of one."""

    rest: Rest
    database: asyncpg.Connection
    project: str
    run: str
    task: str
    webhook: str
    person: dict[str, str]
    numbers: "itertools.count[int]"

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.rest.admin.request(method, path, json=body)
        assert answer.is_success, (path, answer.text)
        return answer.json() if answer.content else None


Make = Callable[[Place], Awaitable[Any]]


def posted(path: str, /, **body: Any) -> Make:
    """Members that a request makes: `{n}` is another number each time."""

    def filled(text: Any, place: Place, n: int) -> Any:
        if isinstance(text, dict):
            return {name: filled(value, place, n) for name, value in text.items()}
        if isinstance(text, list):
            return [filled(value, place, n) for value in text]
        if not isinstance(text, str):
            return text
        return text.replace("{run}", place.run).replace("{task}", place.task).replace("{n}", str(n))

    async def make(place: Place) -> None:
        n = next(place.numbers)
        await place.ask("POST", filled(path, place, n), filled(body, place, n))

    return make


async def a_session(place: Place) -> None:
    me = (await place.rest.admin.get("/auth/me", headers=place.person)).json()["id"]
    await place.database.execute(SESSION, uuid4(), UUID(me), uuid4().bytes)


async def a_reject(place: Place) -> None:
    await place.database.execute(REJECT, UUID(place.project))


async def a_delivery(place: Place) -> None:
    number = next(place.numbers)
    await place.database.execute(
        DELIVERY, uuid4(), UUID(place.webhook), UUID(place.project), number
    )


async def a_member(place: Place) -> None:
    person = place.rest.person(f"person-{next(place.numbers)}")
    me = (await place.rest.admin.get("/auth/me", headers=person)).json()["id"]
    await place.ask("PUT", f"/projects/demo/members/{me}", {"role": "viewer"})


async def a_user(place: Place) -> None:
    await place.rest.admin.get("/auth/me", headers=place.rest.person(f"user-{next(place.numbers)}"))


KEY = posted("/projects/demo/keys", name="k{n}", role="viewer")
RUN = posted("/projects/demo/runs", status="running")
LISTS: dict[str, tuple[str, Make]] = {
    "GET /projects": ("projects", posted("/projects", name="p{n}", slug="p{n}")),
    "GET /projects/{project}/runs": ("runs", RUN),
    "GET /projects/{project}/active-runs": ("runs", RUN),
    "GET /runs": ("runs", RUN),
    "GET /runs/{run}/children": ("runs", posted("/projects/demo/runs", parent_run_id="{run}")),
    "GET /runs/{run}/artifacts?versions=all": (
        "artifacts",
        posted("/runs/{run}/artifacts", step_name="s", content="{n}"),
    ),
    "GET /runs/{run}/tail": ("tails", posted("/runs/{run}/tail", path="{n}.log")),
    "GET /projects/{project}/tasks": ("tasks", posted("/projects/demo/tasks", title="t{n}")),
    "GET /tasks/{task}/transitions": (
        "transitions",
        posted("/tasks/{task}/subtasks", title="s{n}"),
    ),
    "GET /questions": ("questions", posted("/runs/{run}/questions", kind="text", title="q{n}")),
    "GET /projects/{project}/members": ("members", a_member),
    "GET /projects/{project}/keys": ("keys", KEY),
    "GET /keys": ("keys", KEY),
    "GET /projects/{project}/share-links": ("share_links", posted("/projects/demo/share-links")),
    "GET /invitations": ("invitations", posted("/invitations", email="i{n}@example.org")),
    "GET /projects/{project}/webhooks": (
        "webhooks",
        posted("/projects/demo/webhooks", url="https://example.org/{n}", types=["run:created"]),
    ),
    "GET /projects/{project}/webhooks/{webhook}/deliveries": ("deliveries", a_delivery),
    "GET /admin/users": ("users", a_user),
    "GET /admin/audit": ("entries", KEY),
    "GET /admin/ingest/rejects": ("rejects", a_reject),
    "GET /auth/sessions": ("sessions", a_session),
    "GET /admin/runtime/events": (
        "events",
        posted(
            "/runtime/events",
            layer="execution",
            operation="TASK",
            reason_code="ok",
            entity_id="{n}",
        ),
    ),
    "GET /admin/runtime/tasks": ("tasks", posted("/tasks/{task}/subtasks", title="s{n}")),
}


@pytest.fixture
async def place(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        project = await rest.project()
        task = await rest.admin.post("/projects/demo/tasks", json={"title": "t"})
        hook = {"url": "https://example.org/hook", "types": ["run:created"]}
        webhook = await rest.admin.post("/projects/demo/webhooks", json=hook)
        database = await asyncpg.connect(database_url)
        try:
            yield Place(
                rest,
                database,
                project,
                await rest.run(status="running"),
                task.json()["id"],
                webhook.json()["id"],
                rest.person("pager"),
                itertools.count(1),
            )
        finally:
            await database.close()


async def test_what_was_there_is_shown_once_while_more_is_added(place: Place) -> None:
    assert paged() == {name.partition("?")[0] for name in LISTS} | set(OTHERS)
    for name, (plural, make) in LISTS.items():
        path = name.removeprefix("GET ").replace("{run}", place.run).replace("{task}", place.task)
        path = path.replace("{project}", "demo").replace("{webhook}", place.webhook)
        headers = place.person if name == "GET /auth/sessions" else {}
        for _ in range(5):
            await make(place)

        async def page(
            limit: int, cursor: str | None, path: str = path, headers: Any = headers
        ) -> Any:
            query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
            url = httpx.URL(path).copy_merge_params(query)
            answer = await place.rest.admin.get(url, headers=headers)
            assert answer.status_code == 200, (path, answer.text)
            return answer.json()

        before = [identity(one) for one in (await page(1000, None))[plural]]
        assert len(before) >= 5, name
        shown: list[str] = []
        cursor = None
        for turn in itertools.count():
            told = await page(2, cursor)
            assert len(told[plural]) <= 2, name
            shown += [identity(one) for one in told[plural]]
            cursor = told["next_cursor"]
            if cursor is None:
                break
            assert turn < 200, name
            if turn < 4:
                await make(place)
        assert len(set(shown)) == len(shown), f"{name} repeats"
        assert set(before) <= set(shown), f"{name} skips"
        assert [one for one in shown if one in set(before)] == before, f"{name} changes its order"
        refused = await place.rest.admin.get(path, params={"cursor": "AAAA"}, headers=headers)
        assert refused.status_code == 422, name
        assert refused.json()["errors"][0]["field"] == "query.cursor", name


def paged() -> set[str]:
    """The operations that take a cursor."""
    modules = [
        import_module(f"{routes.__name__}.{each.name}") for each in iter_modules(routes.__path__)
    ]
    routers = [module.router for module in modules if hasattr(module, "router")]
    return {
        f"GET {route.path}"
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
        and any(parameter.alias == "cursor" for parameter in route.dependant.query_params)
    }


def identity(one: dict[str, Any]) -> str:
    return str(one.get("id") or one.get("source") or one.get("user_id") or one)
