"""Each credential against each thing that it must not reach: a file, a row, a key of Redis, an object.

`test_access` asks every endpoint by role. Here somebody with a credential that is good elsewhere goes for
what belongs to another project, by the ways around the endpoints too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis.asyncio

from runcast_server.auth.principal import Principal, Role
from tests.integration import test_redis_users, whole
from tests.integration.test_redis_users import as_user, users
from tests.integration.whole import Whole

pytestmark = pytest.mark.anyio

__all__ = ["users"]

SECRET = "sk-of-alpha"
OUT_OF_REACH = (401, 403, 404)


async def furnish(served: Whole, runs_dir: Path) -> dict[str, str]:
    """The project Alpha with a secret in everything that a project can hold; ids by name."""
    project = (await served.make("/projects", {"name": "alpha"}))["id"]
    run = (await served.make("/projects/alpha/runs", {"key": "theirs", "input": SECRET}))["id"]
    await served.make(f"/runs/{run}/logs", {"message": SECRET})
    new = {"step_name": "idea", "content": {"key": SECRET}}
    artifact = (await served.make(f"/runs/{run}/artifacts", new))["id"]
    task = await served.make(
        "/projects/alpha/tasks", {"title": SECRET, "subtasks": [{"title": "s"}]}
    )
    key = await served.make("/projects/alpha/keys", {"name": SECRET, "role": "owner"})
    link = await served.make("/projects/alpha/share-links", {})
    question = {"kind": "text", "title": SECRET}
    asked = await served.make(f"/runs/{run}/questions", question)
    hook = await served.make(
        "/projects/alpha/webhooks", {"url": f"https://example.org/{SECRET}", "types": ["*"]}
    )
    invitation = {"email": "x@example.org", "project": "alpha", "role": "viewer"}
    invited = await served.make("/invitations", invitation)
    (runs_dir / "theirs").mkdir(parents=True)
    (runs_dir / "theirs" / "logs.txt").write_text(f"{SECRET}\n")
    return {
        "project": project,
        "run": run,
        "artifact": artifact,
        "task": task["id"],
        "subtask": task["subtasks"][0]["id"],
        "key": key["id"],
        "link": link["id"],
        "question": asked["id"],
        "invitation": invited["id"],
        "webhook": hook["id"],
    }


THINGS: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/projects/{project}", None),
    ("GET", "/projects/alpha", None),
    ("GET", "/projects/{project}/runs", None),
    ("GET", "/projects/{project}/events", None),
    ("GET", "/projects/{project}/events/history", None),
    ("GET", "/projects/{project}/members", None),
    ("GET", "/projects/{project}/keys", None),
    ("GET", "/projects/{project}/tasks", None),
    ("GET", "/projects/{project}/storage", None),
    ("GET", "/runs/{run}", None),
    ("GET", "/runs/theirs?project=alpha", None),
    ("GET", "/runs/{run}/stream", None),
    ("GET", "/runs/{run}/logs", None),
    ("GET", "/runs/{run}/logs/1/raw", None),
    ("GET", "/runs/{run}/logs/search?q=sk", None),
    ("GET", "/runs/{run}/tail", None),
    ("GET", "/runs/{run}/artifacts", None),
    ("GET", "/artifacts/{artifact}", None),
    ("GET", "/artifacts/{artifact}/content", None),
    ("GET", "/tasks/{task}", None),
    ("GET", "/subtasks/{subtask}", None),
    ("GET", "/admin/users", None),
    ("GET", "/admin/connections", None),
    ("GET", "/metrics", None),
    ("GET", "/runs/{run}/children", None),
    ("GET", "/runs/{run}/export?format=ndjson", None),
    ("GET", "/projects/{project}/export?format=ndjson", None),
    ("GET", "/projects/{project}/usage", None),
    ("GET", "/projects/{project}/active-runs", None),
    ("GET", "/projects/{project}/share-links", None),
    ("GET", "/tasks/{task}/transitions", None),
    ("GET", "/runs/{run}/status", None),
    ("GET", "/questions/{question}?wait_s=0", None),
    ("GET", "/questions?project=alpha", None),
    ("GET", "/questions?run={run}", None),
    ("GET", "/admin/audit", None),
    ("GET", "/admin/ingest/rejects", None),
    ("GET", "/admin/runtime/tasks", None),
    ("POST", "/projects/{project}/stream-tickets", None),
    ("POST", "/projects/{project}/subtasks/claim", {"worker_id": "w"}),
    ("POST", "/questions/{question}/answer", {"text": "yes"}),
    ("POST", "/questions/{question}/cancel", {}),
    ("POST", "/runs/{run}/questions", {"kind": "text", "title": "t"}),
    ("POST", "/runs/{run}/say", {"text": "t"}),
    ("POST", "/runs/{run}/usage", {"requests": [{"id": "r", "model": "m"}]}),
    ("POST", "/runs/{run}/retry", {}),
    ("POST", "/runs/{run}/demo", {}),
    ("POST", "/runs/{run}/heartbeat", {}),
    ("POST", "/runs/{run}/progress", {"stage": "idea", "message": "m"}),
    ("POST", "/runs/{run}/artifacts", {"step_name": "idea", "content": "c"}),
    ("POST", "/tasks/{task}/subtasks", {"title": "t"}),
    ("POST", "/subtasks/{subtask}/start", {"worker_id": "w"}),
    ("POST", "/subtasks/{subtask}/lease", {"worker_id": "w", "lease_s": 60}),
    ("PATCH", "/tasks/{task}", {"title": "t"}),
    ("PATCH", "/subtasks/{subtask}", {"title": "t"}),
    ("PATCH", "/projects/{project}", {"name": "t"}),
    ("DELETE", "/tasks/{task}", None),
    ("DELETE", "/subtasks/{subtask}", None),
    ("DELETE", "/invitations/{invitation}", None),
    ("DELETE", "/runs/{run}/tail?source=logs.txt", None),
    ("POST", "/agents/claude/hooks?project=alpha", {"session_id": "s", "hook_event_name": "x"}),
    ("POST", "/runs/{run}/tail", {"path": "logs.txt"}),
    ("POST", "/runs/{run}/logs", {"message": "x"}),
    ("POST", "/runs/{run}/logs/redact", {"from_line": 1, "to_line": 1}),
    ("POST", "/runs/{run}/cancel", {}),
    ("PATCH", "/runs/{run}", {"status": "failed"}),
    ("DELETE", "/runs/{run}", None),
    ("DELETE", "/artifacts/{artifact}", None),
    ("DELETE", "/keys/{key}", None),
    ("POST", "/keys/{key}/rotate", {}),
    ("DELETE", "/share-links/{link}", None),
    ("GET", "/projects/{project}/webhooks", None),
    ("GET", "/projects/{project}/webhooks/{webhook}", None),
    ("GET", "/projects/{project}/webhooks/{webhook}/deliveries", None),
    ("POST", "/projects/{project}/webhooks", {"url": "https://example.org", "types": ["*"]}),
    ("POST", "/projects/{project}/webhooks/{webhook}/rotate", {}),
    ("POST", "/projects/{project}/webhooks/{webhook}/test", {}),
    ("PATCH", "/projects/{project}/webhooks/{webhook}", {"url": "https://example.org/mine"}),
    ("DELETE", "/projects/{project}/webhooks/{webhook}", None),
    ("GET", "/events?projects={project}", None),
    ("GET", "/events?projects=alpha", None),
    ("POST", "/v1/logs?project=alpha", {"resourceLogs": []}),
    ("POST", "/v1/traces?project={project}", {"resourceSpans": []}),
    ("POST", "/v1/metrics?project=alpha", {"resourceMetrics": []}),
    ("DELETE", "/projects/{project}", None),
)


async def credentials(served: Whole) -> dict[str, str]:
    """Tokens that are good for another project, or good for nothing any more."""
    await served.make("/projects", {"name": "beta"})
    keys, links = "/projects/beta/keys", "/projects/beta/share-links"
    run = (await served.make("/projects/beta/runs", {}))["id"]
    found = {
        role: (await served.make(keys, {"name": role, "role": role}))["token"]
        for role in ("viewer", "reporter", "editor", "owner")
    }
    worker = {"name": "w", "role": "reporter", "scopes": ["worker"]}
    found["worker"] = (await served.make(keys, worker))["token"]
    old = await served.make("/projects/alpha/keys", {"name": "old", "role": "owner"})
    await served.make(f"/keys/{old['id']}/rotate", {"overlap_s": 0})
    found["rotated away"] = old["token"]
    found["link"] = (await served.make(links, {}))["token"]
    found["link to a run"] = (await served.make(links, {"run_id": run}))["token"]
    user = await served.make("/admin/users", {"email": "eve@example.org", "name": "Eve"})
    login = {"token": user["sign_in_link"]["token"], "cookie": False}
    session = await served.client.post("/auth/login-link", json=login)
    found["stranger"] = session.json()["token"]
    return found


async def test_no_credential_reaches_what_is_another_projects(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with whole.serving(database_url, redis_url, tmp_path) as served:
        things = await furnish(served, tmp_path / "runs")
        reached = []
        for name, token in (await credentials(served)).items():
            headers = {"Authorization": f"Bearer {token}"}
            for method, path, body in THINGS:
                answer = await served.client.request(
                    method, path.format(**things), json=body, headers=headers
                )
                if answer.status_code not in OUT_OF_REACH or SECRET in answer.text:
                    reached.append((name, method, path, answer.status_code))
            for path in ("/projects", "/runs", "/connections", "/questions"):
                answer = await served.client.get(path, headers=headers)
                if SECRET in answer.text or things["run"] in answer.text:
                    reached.append((name, "GET", path, answer.status_code))
        assert reached == []
        rows = await row_level(served, things)
        assert rows == {"nobody": 0, "key": 0, "link": 0}


TELEMETRY = {
    "resource": {
        "attributes": [
            {"key": "runcast.project", "value": {"stringValue": "alpha"}},
            {"key": "runcast.run", "value": {"stringValue": "{run}"}},
        ]
    },
    "scopeLogs": [{"logRecords": [{"body": {"stringValue": "forged"}}]}],
}
AROUND: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/projects/beta/runs", {"parent_run_id": "{run}"}),
    ("POST", "/projects/beta/runs", {"id": "{run}"}),
    ("POST", "/projects/beta/runs", {"task_id": "{subtask}", "agent_type": "WORKER"}),
    ("POST", "/projects/beta/runs", {"task_id": "{task}", "agent_type": "PLANNER"}),
    (
        "POST",
        "/projects/beta/tasks",
        {"title": "t", "subtasks": [{"title": "s", "depends_on": ["{subtask}"]}]},
    ),
    ("POST", "/projects/beta/share-links", {"run_id": "{run}"}),
    ("GET", "/projects/beta/runs?parent={run}", None),
    ("GET", "/projects/beta/runs?task_id={subtask}", None),
    ("GET", "/projects/beta/events/history?run_id={run}", None),
    ("GET", "/runs/theirs?project=beta", None),
    ("GET", "/questions?project=beta&run={run}", None),
    ("GET", "/runs/{run}/logs?project=beta", None),
    ("GET", "/projects/beta/webhooks/{webhook}", None),
    ("GET", "/projects/beta/webhooks/{webhook}/deliveries", None),
    ("POST", "/projects/beta/webhooks/{webhook}/rotate", {}),
    ("DELETE", "/projects/beta/webhooks/{webhook}", None),
    ("POST", "/v1/logs?project=beta", {"resourceLogs": [TELEMETRY]}),
    (
        "POST",
        "/agents/claude/hooks?project=beta&within={run}",
        {"session_id": "s", "hook_event_name": "Stop"},
    ),
)
"""Ways to Alpha's things through what is the caller's own."""


def filled(body: Any, things: dict[str, str]) -> Any:
    """A body with ids in place of their names."""
    if isinstance(body, dict):
        return {name: filled(value, things) for name, value in body.items()}
    if isinstance(body, list):
        return [filled(value, things) for value in body]
    return body.format(**things) if isinstance(body, str) else body


async def test_no_way_leads_through_what_is_ones_own(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """An owner's key of another project names Alpha's things in requests to its own: nothing of Alpha comes,
    nothing of Alpha changes."""
    async with whole.serving(database_url, redis_url, tmp_path) as served:
        things = await furnish(served, tmp_path / "runs")
        owner = {"Authorization": f"Bearer {(await credentials(served))['owner']}"}
        before = await everything(served, things)
        told = []
        for method, path, body in AROUND:
            answer = await served.client.request(
                method, path.format(**things), json=filled(body, things), headers=owner
            )
            if SECRET in answer.text or (answer.is_success and things["run"] in answer.text):
                told.append((method, path, answer.status_code, answer.text[:200]))
            assert answer.status_code < 500, (path, answer.text)
        stream = f"/projects/beta/events?subscribe_logs={things['run']}&log_tail=10"
        async with served.client.stream("GET", stream, headers=owner) as live:
            await served.make(f"/runs/{things['run']}/logs", {"message": SECRET})
            await served.make("/projects/beta/runs", {"name": "the last one"})
            async for line in live.aiter_lines():
                if SECRET in line:
                    told.append(("GET", stream, 200, line))
                if "the last one" in line:
                    break
        assert told == []
        after = await everything(served, things)
        assert {key: value for key, value in after.items() if key != "log"} == {
            key: value for key, value in before.items() if key != "log"
        }
        assert after["log"] == [*before["log"], SECRET]


async def everything(served: Whole, things: dict[str, str]) -> dict[str, Any]:
    """Alpha as its administrator sees it."""

    async def get(path: str) -> Any:
        return await served.make(path.format(**things), method="GET")

    run = await get("/runs/{run}")
    return {
        "log": [entry["message"] for entry in (await get("/runs/{run}/logs"))["logs"]],
        "runs": [each["id"] for each in (await get("/projects/alpha/runs"))["runs"]],
        "children": (await get("/runs/{run}/children"))["runs"],
        "status": run["status"],
        "task": await get("/tasks/{task}"),
        "question": (await get("/questions/{question}"))["state"],
        # Not how its sending goes: that changes by itself.
        "webhooks": [
            (each["id"], each["url"], each["types"], each["format"])
            for each in (await get("/projects/alpha/webhooks"))["webhooks"]
        ],
    }


async def row_level(served: Whole, things: dict[str, str]) -> dict[str, int]:
    """How many of Alpha's rows the database shows to callers of another project."""
    elsewhere = UUID((await served.client.get("/projects/beta", headers=served.admin)).json()["id"])
    callers = {
        "nobody": Principal("user:x", user_id=elsewhere),
        "key": Principal("key:x", key_id=elsewhere, project_id=elsewhere, role=Role.OWNER),
        "link": Principal("share:x", share_id=elsewhere, project_id=elsewhere, role=Role.VIEWER),
    }
    alpha, seen = UUID(things["project"]), {}
    for name, caller in callers.items():
        async with served.resources.database.acting(caller) as connection:
            seen[name] = sum(
                [
                    await connection.fetchval(
                        f"SELECT count(*) FROM {table} WHERE project_id = $1", alpha
                    )
                    for table in ("runs", "artifacts", "tasks", "api_keys", "share_links")
                ]
            )
    return seen


async def test_a_workers_redis_password_reaches_no_project(
    redis_url: str, users: redis.Redis
) -> None:
    for command in test_redis_users.DENIED["worker"]:
        async with as_user(redis_url, "worker") as client:
            with pytest.raises(redis.exceptions.ResponseError):
                await client.execute_command(*command)
