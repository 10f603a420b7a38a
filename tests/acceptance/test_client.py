"""The clients against the real API: that they know all of it, and speak it right."""

import asyncio
import inspect
import re
from typing import Any

import httpx
import pytest
from tests.processes import Up

from runcast import AsyncClient, Client, errors
from runcast._support.ids import uuid7
from runcast.client.calls import Download, Endpoint, Stream
from runcast.client.endpoints import Endpoints

# Not for programs: pages for people, redirects between browsers, other formats of what is there.
LEFT_OUT = {
    ("get", "/auth/oidc/login"),
    ("get", "/auth/oidc/callback"),
    ("get", "/metrics"),
    # What agents' hooks send; `runcast-hook` does it with the standard library alone.
    ("post", "/agents/{}/hooks"),
    # What exporters of OpenTelemetry send.
    *(
        ("post", f"{base}/v1/{kind}")
        for base in ("", "/otlp")
        for kind in ("logs", "metrics", "traces")
    ),
}
# One method for several paths: the action is its argument.
ACTIONS = {"move_task": ["activate"], "move_subtask": ["start"]}


def known() -> set[tuple[str, str]]:
    """Method and path of every endpoint of the clients, each parameter as `{}`."""
    return {place for endpoint in vars(Endpoints).values() for place in places(endpoint)}


def places(endpoint: Any) -> list[tuple[str, str]]:
    if isinstance(endpoint, Stream):
        named = inspect.signature(endpoint._build).parameters
        ways = (
            [{"project": "PARAMETER"}, {"projects": "PARAMETER"}] if "projects" in named else [{}]
        )
        return [("get", anonymous(str(built(endpoint._build, **way).path))) for way in ways]
    if not isinstance(endpoint, (Endpoint, Download)):
        return []
    calls = [built(endpoint._build)]
    if "project" in inspect.signature(endpoint._build).parameters:
        calls.append(built(endpoint._build, project="PARAMETER"))
    return [(call.method.lower(), anonymous(call.path)) for call in calls]


def built(build: Any, **more: Any) -> Any:
    parameters = inspect.signature(build).parameters.values()
    needed = {
        parameter.name: "PARAMETER"
        for parameter in parameters
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }
    return build(**{**needed, **more})


def anonymous(path: str) -> str:
    return path.replace("PARAMETER", "{}")


def test_every_endpoint_of_the_api_is_on_the_clients(local_server: Up) -> None:
    document = httpx.get(f"{local_server.url}/openapi.json").json()
    offered = {
        (method, re.sub(r"\{[^}]*\}", "{}", path))
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert sorted(offered - known() - LEFT_OUT) == []


@pytest.fixture
def project(client: Client) -> str:
    slug = f"client-{str(uuid7())[-12:]}"
    client.create_project(slug, slug=slug)
    return slug


def test_a_run_from_its_making_to_its_end(client: Client, project: str) -> None:
    run = client.create_run(project, key="r", steps=["a", "b"], input={"prompt": "x"})
    run_id = run["id"]
    assert client.update_run(run_id, status="running")["status"] == "running"
    client.report_progress(run_id, "b", "half", percent=50)
    assert client.get_run("r", project=project)["current_step"] == "b"
    client.add_logs(run_id, [{"message": f"line {n}"} for n in range(120)])
    assert [entry["message"] for entry in client.iter_logs(run_id)][-1] == "line 119"
    assert client.log_text(run_id).splitlines()[0] == "line 0"
    found = [each for each in client.search_logs(run_id, "line 7") if "message" in each]
    assert found[0]["message"] == "line 7"
    assert client.heartbeat(run_id)["cancelled"] is False
    assert client.run_status(run_id, last=1)["events"][0]["percent"] == 50
    assert [each["id"] for each in client.active_runs(project)["runs"]] == [run_id]
    assert client.cancel_run(run_id)["status"] == "cancelled"
    with pytest.raises(errors.Conflict):
        client.update_run(run_id, status="running")
    assert [event["id"] for event in client.iter_event_history(project, limit=50)] == list(
        range(1, 1 + len(list(client.iter_event_history(project, limit=1_000))))
    )


def test_a_repeated_creation_answers_what_is_there(client: Client, project: str) -> None:
    run_id = str(uuid7())
    first = client.create_run(project, id=run_id)
    assert client.create_run(project, id=run_id) == first


def test_problems_are_errors(client: Client, local_server: Up, project: str) -> None:
    with pytest.raises(errors.NotFound):
        client.get_run(str(uuid7()))
    with pytest.raises(errors.Invalid) as told:
        client.create_run(project, steps=["a"], current_step="b")
    assert told.value.errors
    with Client(local_server.url, "rc_wrong") as stranger, pytest.raises(errors.Unauthorized):
        stranger.list_runs()


def test_a_stream_is_live_resumes_and_ends_with_its_run(local_server: Up, project: str) -> None:
    async def follow() -> list[Any]:
        async with AsyncClient(local_server.url, local_server.credentials["token"]) as client:
            run = await client.create_run(project, status="running")
            await client.add_log(run["id"], message="one")
            stream = client.stream_run(run["id"], log_tail=10)
            first = await anext(stream)
            await client.add_log(run["id"], message="two")
            second = await anext(stream)
            await client.update_run(run["id"], status="completed")
            rest = [event async for event in stream]
            again = client.stream_run(run["id"], after=second.id)
            assert [event.id for event in rest] == [event.id async for event in again]
            return [first, second, *rest]

    first, second, *rest = asyncio.run(follow())
    assert [event.data["line"] for event in (first, second)] == ["one", "two"]
    assert second.id is not None
    assert "agent:completed" in [event.type for event in rest]


def test_the_log_filter_of_a_live_stream_can_be_changed(client: Client, project: str) -> None:
    run = client.create_run(project, status="running")
    stream = client.events(project, with_control=True)
    connected = next(stream)
    changed = client.change_connection(connected.data["connection_id"], "all")
    assert changed["subscribe_logs"] == "all"
    client.add_log(run["id"], message="now wanted")
    line = next(event for event in stream if event.type == "agent:log")
    assert line.data["line"] == "now wanted"
    mine = [each["connection_id"] for each in client.list_connections()["connections"]]
    assert connected.data["connection_id"] in mine
    client.end_connection(connected.data["connection_id"])


def test_tasks_are_claimed_once(client: Client, project: str) -> None:
    task = client.create_task(project, "t", subtasks=[{"title": "s"}])
    client.move_task(task["id"], "activate")
    claimed = client.claim_subtask("w1", project=project, lease_s=30)
    assert claimed is not None
    assert claimed["subtask"]["title"] == "s"
    assert client.claim_subtask("w2", project=project) is None
    done = client.move_subtask(claimed["subtask"]["id"], "complete", worker_id="w1")
    assert done["status"] == "COMPLETED"
