"""Generated requests against every operation of the OpenAPI document: no 5xx, no undocumented answer.

`make test` runs a short part that is the same each time; `make fuzz` at least 30,000 cases, other ones each
time.
"""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Iterator
from typing import cast
from urllib.parse import quote

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from runcast_api import app as api_app
from runcast_api.dependencies import Api
from runcast_api.http import pagination
from runcast_api.reference import streams
from tests.conftest import run_sql
from tests.fuzz import odd
from tests.fuzz import world as worlds
from tests.fuzz.world import World
from tests.urls import in_database

CASES = int(os.environ.get("RUNCAST_FUZZ_CASES", "600"))
IS_SHORT = "RUNCAST_FUZZ_CASES" not in os.environ
SECONDS = 20.0
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
ENDLESS = "/admin/stream"
KEPT = {("PATCH", "/admin/users/{user}")} | {
    ("DELETE", f"/{place}")
    for place in (
        "projects/{project}",
        "projects/{project}/webhooks/{webhook}",
        "keys/{key}",
        "runs/{run}",
        "artifacts/{artifact}",
        "tasks/{task}",
        "subtasks/{subtask}",
        "admin/users/{user}",
        "share-links/{link}",
        "invitations/{invitation}",
    )
}
"""Asked about things that aren't there, so that there is something left for the others."""
ENDS_SESSIONS = {"/auth/logout", "/auth/refresh"}
"""Never asked with the one session that there is."""

BROKEN = {"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjEsImV4cCI6MWUzMDB9.x"}
HEADERS: tuple[dict[str, str], ...] = (
    {"Origin": "http://["},
    {"Origin": "null"},
    {"Cookie": "runcast_session=rs_x; =; ;;"},
    {"Cookie": "a=" + "b" * 5_000},
    {"Accept": "text/plain;q=x, */*;q=-1"},
    {"Last-Event-ID": "99999999999999999999"},
    {"Idempotency-Key": "x" * 300},
    {"If-None-Match": '"'},
    {"Range": "bytes=5-1,x"},
    {"X-Forwarded-For": "[,::"},
    {"Sec-Fetch-Site": "?"},
)
MEMBERS: tuple[list[object], ...] = ([], [2**63], ["0001-01-01T00:00:00+14:00", "x"], [None, {}])


@schemathesis.serializer("application/x-ndjson")
def ndjson(_: object, value: object) -> bytes:
    return str(value).encode()


document = api_app.create(cast(Api, None), "0").openapi()
for elsewhere in (ENDLESS, *streams.PATHS):
    del document["paths"][elsewhere]
schema = schemathesis.openapi.from_dict(document)
schema.config.generation.modes = list(GenerationMode)
OPERATIONS = sum(len(operations) for operations in document["paths"].values())


@pytest.fixture(scope="module")
def world(
    postgres_url: str,
    template_database: str,
    redis_server_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    from_template = copied(postgres_url, template_database)
    with worlds.serving(from_template, redis_server_url, tmp_path_factory.mktemp("fuzz")) as made:
        yield made


def copied(postgres_url: str, template: str) -> str:
    """A database of this module's own."""
    run_sql(postgres_url, f"CREATE DATABASE runcast_fuzz TEMPLATE {template}")
    return in_database(postgres_url, "runcast_fuzz")


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


TELEMETRY = (["application/json"], ["application/x-protobuf"])


# Bodies in protobuf are fuzzed in `tests/integration/test_otlp.py`; here such an operation is asked in JSON.
@pytest.mark.filterwarnings("ignore:Skipped test cases with unsupported payload media types")
@schema.parametrize()
@settings(
    max_examples=max(1, CASES // OPERATIONS),
    derandomize=IS_SHORT,
    database=None,
    deadline=None,
    phases=[Phase.generate] if IS_SHORT else [Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_document_names(
    case: Case, world: World, session: requests.Session
) -> None:
    caller = prepare(case, world)
    response = case.call(world.url, session, headers=caller, timeout=SECONDS)
    case.validate_response(response, checks=CHECKS)
    if response.status_code >= 400:
        if response.headers["content-type"] in TELEMETRY and "/v1/" in case.path:
            return  # It is refused in its own form (`google.rpc.Status`), as its protocol wants it.
        assert response.headers["content-type"] == ["application/problem+json"]
        assert response.json()["status"] == response.status_code


def prepare(case: Case, world: World) -> dict[str, str]:
    """Gives most cases ids of things that are there; answers who asks."""
    choice = random.Random(zlib.crc32(repr((case.path_parameters, case.query, case.body)).encode()))
    if (case.method, case.path) not in KEPT and choice.random() < 0.8:
        for name in case.path_parameters or {}:
            case.path_parameters[name] = world.things.get(name, case.path_parameters[name])
    if case.query and "cursor" in case.query:
        members = choice.choice(MEMBERS)
        case.query["cursor"] = pagination.encode(members, choice.choice(("projects", "runs")))
    others = choice.choice(world.others)
    owner = others if case.path in ENDS_SESSIONS else world.owner
    caller = choice.choices([world.admin, owner, others, BROKEN, {}], [45, 25, 20, 5, 5])[0]
    return caller | (choice.choice(HEADERS) if choice.random() < 0.3 else {})


def tool(name: str, **arguments: object) -> dict[str, object]:
    """A call of an MCP tool."""
    params = {"name": name, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


CALLS: list[dict[str, object]] = [
    {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}},
    {
        "jsonrpc": "2.0",
        "id": "x",
        "method": "resources/read",
        "params": {"uri": "runcast://run/RUN"},
    },
    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}},
    tool("report", run="RUN", message="m", status="running", progress=0.5),
    tool("log", run="RUN", tail=5),
    tool("runs", q="line", limit=5),
    tool("search", run="RUN", q="line", regex=True),
    tool("wait", run="RUN", timeout_s=0),
    tool("artifact", run="RUN", step="idea", content={"a": 1}),
    tool("ask_human", run="RUN", question="t", wait_s=0),
    tool("answer_wait", question_id="QUESTION", wait_s=0),
]
LINKS = st.text(max_size=80).filter(lambda text: text.strip(".") != "") | st.sampled_from(
    ["ra_" + "x" * 43, "%00", "a" * 300, "\ud800"]
)


@settings(
    max_examples=max(30, CASES // 15),
    derandomize=IS_SHORT,
    database=None,
    deadline=None,
    phases=[Phase.generate] if IS_SHORT else [Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(call=odd.encoded(CALLS), link=LINKS, choice=st.randoms())
def test_doors_that_the_document_does_not_describe(
    call: bytes, link: str, choice: random.Random, world: World, session: requests.Session
) -> None:
    """Agents' protocol, and links of notifications, for anyone who comes with anything."""
    for name in ("run", "question"):
        call = call.replace(name.upper().encode(), world.things[name].encode())
    caller = choice.choice([world.admin, world.owner, *world.others, BROKEN, {}])
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    headers |= caller | choice.choice([{}, *HEADERS])
    answers = [
        session.post(f"{world.url}/mcp", data=call, headers=headers, timeout=SECONDS),
        session.get(f"{world.url}/mcp", headers=headers, timeout=SECONDS),
    ]
    path = f"/a/{quote(link.encode(errors='replace'), safe='')}"
    for method in ("GET", "POST"):
        answers.append(session.request(method, world.url + path, headers=headers, timeout=SECONDS))
        assert answers[-1].status_code >= 400, "no one guesses a link"
    assert all(answer.status_code < 500 for answer in answers), [a.text for a in answers]
