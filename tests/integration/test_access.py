"""Every endpoint and stream, asked by everyone: the answers are those of `access_table`."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest

from runcast._support.ids import uuid7
from runcast_api import app as api_app
from runcast_api import service as api_service
from runcast_api.dependencies import Api
from runcast_hub import service as hub_service
from runcast_server import settings
from runcast_server.auth import operations, principal
from runcast_server.auth.operations import OPERATIONS, Needs
from runcast_server.auth.principal import Role, hash_token, new_token
from runcast_server.db import acquire
from runcast_server.process import process
from runcast_server.service import Resources
from tests.integration import rows
from tests.integration.access_table import HOOK, TABLE, Line
from tests.integration.whole import begun, patiently
from tests.waiting import until

pytestmark = pytest.mark.anyio

ROLES = ("viewer", "reporter", "editor", "owner")
PEOPLE = ("stranger", *ROLES, "admin")
SHUT_OUT = ("nobody", "expired", "revoked")
CALLERS = (*SHUT_OUT, *PEOPLE, "key of another project", "share link", "link to another run")
SUCCESS = range(200, 400)


def expected(name: str, caller: str) -> range | int:
    """The answer that the line of the table means for this caller."""
    needs, allowed = OPERATIONS[name], TABLE[name].status or SUCCESS
    if needs == operations.ANYBODY:
        return allowed
    if caller in SHUT_OUT:
        return 401
    if needs == operations.A_TOKEN or caller == "admin":
        return allowed
    if needs == operations.A_PERSON:
        return allowed if caller in PEOPLE else 401 if name.endswith("/refresh") else 403
    if needs == operations.OWNER_OF_ANY:
        # Each person makes a project before this is asked, and so owns one.
        return allowed if caller in (*PEOPLE, "key of another project") else 403
    if needs.role is None:
        return 403
    return in_project(needs, needs.role, name, caller)


def in_project(needs: Needs, role: Role, name: str, caller: str) -> range | int:
    """The same for what belongs to a project: 404 for what the caller may not know of."""
    allowed = TABLE[name].status or SUCCESS
    if caller == "share link":
        is_unknown = needs.is_hidden or needs.hides_from_links
        return allowed if needs.links else 404 if is_unknown else 403
    if caller not in ROLES:
        return 403 if " /projects/" in name or name == "GET /events" else 404
    if Role[caller.upper()] >= role:
        return allowed
    return 404 if needs.is_hidden else 403


@dataclass
class World:
    """A process with API and hub, a project with one of everything, and everybody who asks."""

    client: httpx.AsyncClient
    resources: Resources
    admin: dict[str, str]
    project: str = ""
    people: dict[str, UUID] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    async def make(self, path: str, body: Any = None, method: str = "POST") -> Any:
        answer = await patiently(self.client, method, path, json=body, headers=self.admin)
        assert answer.is_success, (path, answer.text)
        return answer.json() if answer.content else None

    async def furnish(self) -> None:
        """The project, its people, and tokens of everyone who isn't a person."""
        self.project = (await self.make("/projects", {"name": "demo"}))["id"]
        for name in PEOPLE:
            self.people[name] = await self.person(is_admin=name == "admin")
            if name in ROLES:
                await self.join(self.people[name], name)
        other = (await self.make("/projects", {"name": "other"}))["id"]
        other_run = (await self.make(f"/projects/{self.project}/runs", {}))["id"]
        key = {"name": "k", "role": "owner"}
        revoked = await self.make(f"/projects/{self.project}/keys", key)
        await self.make(f"/keys/{revoked['id']}", method="DELETE")
        links = f"/projects/{self.project}/share-links"
        self.tokens = {
            "revoked": revoked["token"],
            "key of another project": (await self.make(f"/projects/{other}/keys", key))["token"],
            "share link": (await self.make(links, {}))["token"],
            "link to another run": (await self.make(links, {"run_id": other_run}))["token"],
        }

    async def person(self, *, is_admin: bool = False) -> UUID:
        user_id = uuid7()
        async with self.resources.database.changing(rows.ADMIN) as connection:
            await connection.execute(
                "INSERT INTO users (id, login, name, is_admin) VALUES ($1, $2, 'p', $3)",
                user_id,
                f"{user_id}@example.org",
                is_admin,
            )
        return user_id

    async def join(self, user_id: UUID, role: str) -> None:
        path = f"/projects/{self.project}/members/{user_id}"
        await self.make(path, {"role": role}, "PUT")

    async def headers(self, caller: str) -> dict[str, str]:
        """What the caller shows: people a session that nobody used before."""
        if caller == "nobody":
            return {}
        token = self.tokens.get(caller) or await self.session(caller)
        return {"Authorization": f"Bearer {token}"}

    async def session(self, caller: str) -> str:
        token = new_token(principal.SESSION_PREFIX)
        hours = -1 if caller == "expired" else 1
        async with self.resources.database.changing(rows.ADMIN) as connection:
            await connection.execute(
                """INSERT INTO sessions (id, user_id, token_hash, method, expires_at)
                   VALUES ($1, $2, $3, 'link', $4)""",
                uuid7(),
                self.people.get(caller) or self.people["owner"],
                hash_token(token),
                datetime.now(UTC) + timedelta(hours=hours),
            )
        return token

    async def fill(self, template: str) -> str:
        """The path with things that were just made."""
        made = {name: await self.thing(name) for name in re.findall(r"{(\w+)}", template)}
        made["move"] = "activate" if "/tasks/" in template else "merge"
        return template.format(**made)

    async def thing(self, name: str) -> str:
        match name:
            case "project":
                return self.project
            case "run":
                made = await self.make(f"/projects/{self.project}/runs", {})
                await self.make(f"/runs/{made['id']}/logs", {"message": "m"})
                return str(made["id"])
            case "artifact" | "question":
                run = await self.thing("run")
                new = {
                    "artifact": {"step_name": "idea", "content": "c"},
                    "question": {"kind": "text", "title": "t"},
                }
                return str((await self.make(f"/runs/{run}/{name}s", new[name]))["id"])
            case "task" | "subtask":
                new = {"title": "t", "subtasks": [{"title": "s"}]}
                task = await self.make(f"/projects/{self.project}/tasks", new)
                return str(task["id"] if name == "task" else task["subtasks"][0]["id"])
            case "key" | "link":
                path, new = {
                    "key": ("keys", {"name": "k", "role": "viewer"}),
                    "link": ("share-links", {}),
                }[name]
                return str((await self.make(f"/projects/{self.project}/{path}", new))["id"])
            case "webhook" | "delivery":
                return await self.webhook(name)
            case "invitation" | "token":
                new = {"email": f"{uuid4()}@example.org", "project": self.project}
                made = await self.make("/invitations", new)
                return str(made["id"] if name == "invitation" else made["token"])
            case "user":
                user_id = await self.person()
                await self.join(user_id, "viewer")
                return str(user_id)
            case "line_number" | "agent":
                return {"line_number": "1", "agent": "claude"}[name]
        return str(uuid4())

    async def webhook(self, name: str) -> str:
        """A webhook, or a delivery of one; those before are removed, as a project has only so many."""
        path = f"/projects/{self.project}/webhooks"
        for before in (await self.make(path, method="GET"))["webhooks"]:
            await self.make(f"{path}/{before['id']}", method="DELETE")
        hook = str((await self.make(path, HOOK))["id"])
        if name == "webhook":
            return hook
        async with acquire(self.resources.database.log) as connection:
            delivery = uuid7()
            await connection.execute(
                """INSERT INTO webhook_deliveries (id, webhook_id, project_id, event_id, type, state)
                   VALUES ($1, $2, $3, 1, 'run:created', 'failed')""",
                delivery,
                UUID(hook),
                UUID(self.project),
            )
        return str(delivery)


async def serve(
    database_url: str,
    redis_url: str,
    data: Path,
    started: asyncio.Future[World],
    stop: asyncio.Event,
) -> None:
    read = settings.read(
        database_url=database_url,
        redis_url=redis_url,
        data=data,
        runs_dir=data / "runs",
        port=0,
        sse_max_connections_per_user=0,
        sse_max_connections_per_share_link=0,
        database_pool_size=4,
    )
    listener = process.listen(read.process)
    build = [hub_service.build, api_service.build]
    async with process.opened(read) as resources:
        key = await rows.admin_key(resources.database)
        client = httpx.AsyncClient(base_url=process.url_of(read.process, listener), timeout=120)
        world = World(client, resources, {"Authorization": f"Bearer {key}"})
        async with client:
            await process.serve(resources, build, listener, stop, lambda: started.set_result(world))
    listener.close()


async def asked(world: World, name: str, line: Line, caller: str) -> str | None:
    """What was answered otherwise than the table says, by a server that had time for it."""
    if name == "DELETE /projects/{project}":
        return None  # Asked last, by its own test: it takes everything away.
    wrong: list[str | None] = []

    async def has_time() -> bool:
        wrong.append(await ask(world, name, line, caller))
        return wrong[-1] is None or ": 503 instead" not in wrong[-1]

    await until(has_time, "the server to have time")
    return wrong[-1]


async def ask(world: World, name: str, line: Line, caller: str) -> str | None:
    method, template = name.split(" ", 1)
    path = await world.fill(template + line.query)
    headers = await world.headers(caller)
    body = line.body
    if isinstance(body, dict):
        body = {
            key: value.replace("{fresh}", str(uuid4())) if isinstance(value, str) else value
            for key, value in body.items()
        }
    wanted = expected(name, caller)
    async with world.client.stream(method, path, json=body, headers=headers) as answer:
        if answer.status_code == wanted or (
            isinstance(wanted, range) and answer.status_code in wanted
        ):
            return None
        shown = "" if answer.is_success else (await answer.aread()).decode()[:200]
    asked = wanted if isinstance(wanted, int) else "success"
    return f"{name} by {caller}: {answer.status_code} instead of {asked} {shown}"


@pytest.mark.timeout(400)
async def test_everyone_gets_what_the_table_says(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    started: asyncio.Future[World] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(database_url, redis_url, tmp_path, started, stop))
    try:
        world = await begun(started, serving)
        await world.furnish()
        wrong = []
        for name, line in TABLE.items():
            answers = [await asked(world, name, line, caller) for caller in CALLERS]
            wrong += [answer for answer in answers if answer is not None]
        assert wrong == [], "\n".join(wrong)
        for caller in CALLERS:
            if caller in ("owner", "admin"):
                continue
            path = f"/projects/{world.project}"
            answer = await world.client.delete(path, headers=await world.headers(caller))
            assert answer.status_code == (401 if caller in SHUT_OUT else 403), caller
        owner = await world.headers("owner")
        deleted = await world.client.delete(f"/projects/{world.project}", headers=owner)
        assert deleted.status_code == 204
    finally:
        stop.set()
        await serving


def test_no_endpoint_is_missing_from_the_table() -> None:
    document = api_app.create(cast(Api, None), version("runcast")).openapi()
    known = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert known - set(OPERATIONS) == set()
    assert set(OPERATIONS) - known == {"GET /", "GET /docs", "GET /openapi.json"}
    assert set(TABLE) == set(OPERATIONS)
