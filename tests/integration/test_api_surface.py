"""The surface as a whole: who may enter, what is described, and answers that hold to their description."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from runcast_api.reference import streams
from tests.integration.rest import Rest, serving

pytestmark = pytest.mark.anyio

PUBLIC = {
    "/",
    "/ui",
    "/ui/{path}",
    "/docs",
    "/docs/oauth2-redirect",
    "/openapi.json",
}
SIGN_IN = re.compile(r"^/(auth|invitations)(/|$)")


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


async def test_without_a_token_only_what_is_public_answers(rest: Rest) -> None:
    document = (await rest.admin.get("/openapi.json")).json()
    asked = 0
    for path, operations in document["paths"].items():
        if SIGN_IN.match(path) or path in PUBLIC or path in streams.PATHS:
            continue
        for method in operations:
            filled = re.sub(r"\{[^}]+\}", "01a1f94d-287c-779b-bb7d-f56e512a6ff7", path)
            answer = await rest.admin.request(
                method.upper(), filled, headers={"Authorization": ""}, json={}
            )
            assert answer.status_code == 401, (method, path, answer.text)
            asked += 1
    assert asked > 30
    for path in ("/", "/ui/", "/ui", "/docs", "/openapi.json"):
        answer = await rest.admin.get(path, headers={"Authorization": ""})
        assert answer.status_code in (200, 307, 503), path


async def test_every_route_is_described(rest: Rest) -> None:
    document = (await rest.admin.get("/openapi.json")).json()
    app = rest.service.app
    assert isinstance(app, FastAPI)
    described = 0
    for included in app.routes:
        for route in getattr(getattr(included, "original_router", None), "routes", ()):
            if isinstance(route, APIRoute) and route.include_in_schema:
                assert route.path_format in document["paths"]
                described += 1
    assert described > 100
    names = set(document["components"]["schemas"])
    assert {"Problem", "LogEntry", "LinesMessage", "ArtifactNew"} <= names
    assert "HTTPValidationError" not in names
    components = document["components"]
    assert set(references(document)) <= names | components["responses"].keys()


def references(value: Any) -> Iterator[str]:
    """The names of all components that a document refers to."""
    if isinstance(value, dict):
        if isinstance(target := value.get("$ref"), str):
            yield target.rpartition("/")[2]
        for child in value.values():
            yield from references(child)
    elif isinstance(value, list):
        for child in value:
            yield from references(child)


async def test_answers_hold_to_their_description(rest: Rest) -> None:
    run = await rest.run(key="k", status="running", input={"p": 1})
    document = (await rest.admin.get("/openapi.json")).json()
    artifact = await rest.admin.post(
        f"/runs/{run}/artifacts", json={"step_name": "idea", "content": {"a": 1}}
    )
    progress = {"stage": "outline", "message": "m", "percent": 3}
    calls: list[tuple[str, str, str, Any]] = [
        ("GET", "/projects", "/projects", None),
        ("POST", "/projects", "/projects", {"name": "n"}),
        ("GET", "/projects/{project}", "/projects/demo", None),
        ("GET", "/projects/{project}/runs", "/projects/demo/runs", None),
        ("GET", "/projects/{project}/active-runs", "/projects/demo/active-runs", None),
        ("GET", "/projects/{project}/events/history", "/projects/demo/events/history", None),
        ("GET", "/runs", "/runs", None),
        ("GET", "/runs/{run}", f"/runs/{run}", None),
        ("PATCH", "/runs/{run}", f"/runs/{run}", {"current_step": "outline"}),
        ("POST", "/runs/{run}/progress", f"/runs/{run}/progress", progress),
        ("POST", "/runs/{run}/heartbeat", f"/runs/{run}/heartbeat", {}),
        ("GET", "/runs/{run}/status", f"/runs/{run}/status", None),
        ("POST", "/runs/{run}/logs", f"/runs/{run}/logs", {"message": "m"}),
        ("POST", "/runs/{run}/logs", f"/runs/{run}/logs", [{"message": "m"}]),
        ("GET", "/runs/{run}/logs", f"/runs/{run}/logs", None),
        ("GET", "/runs/{run}/artifacts", f"/runs/{run}/artifacts", None),
        ("GET", "/artifacts/{artifact}", f"/artifacts/{artifact.json()['id']}", None),
        ("POST", "/runs/{run}/tail", f"/runs/{run}/tail", {"path": "x.log"}),
        ("GET", "/runs/{run}/tail", f"/runs/{run}/tail", None),
        ("POST", "/runs/{run}/retry", f"/runs/{run}/retry", {}),
        ("POST", "/runs/{run}/cancel", f"/runs/{run}/cancel", {}),
        ("POST", "/runs/{run}/demo", f"/runs/{run}/demo", {}),
    ]
    for method, path, address, body in calls:
        answer = await rest.admin.request(method, address, json=body)
        described = document["paths"][path][method.lower()]["responses"]
        schema = described[str(answer.status_code)]["content"]["application/json"]["schema"]
        whole = schema | {"components": document["components"]}
        jsonschema_rs.validator_for(whole).validate(answer.json())
        if path != "/projects" and path != "/runs":
            assert answer.headers["Runcast-Head"].isdigit(), path


async def test_the_root_sends_browsers_to_the_console(rest: Rest) -> None:
    page = await rest.admin.get("/", headers={"Accept": "text/html,*/*"})
    assert (page.status_code, page.headers["location"]) == (307, "/ui/")
    named = (await rest.admin.get("/")).json()
    assert named["name"] == "runcast"
    assert named["version"]


async def test_paths_that_are_not_there(rest: Rest) -> None:
    for path in ("/nope", "/projects/demo/nope", "/ui/../etc/passwd", "/runs//logs"):
        answer = await rest.admin.get(path)
        assert answer.status_code == 404, path
    wrong = await rest.admin.put("/runs")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert wrong.json()["type"] == "urn:runcast:problem:method-not-allowed"
