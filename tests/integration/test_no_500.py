"""Input that once ended as a 500, of each kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from runcast_api.http import pagination
from tests.integration import whole
from tests.integration.whole import Whole

pytestmark = pytest.mark.anyio


@pytest.fixture
async def served(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole.serving(database_url, redis_url, tmp_path) as found:
        yield found


async def test_headers_and_queries_that_are_no_such_thing(served: Whole) -> None:
    project = (await served.make("/projects", {"name": "demo"}))["id"]
    run = (await served.make("/projects/demo/runs", {}))["id"]
    await served.make(f"/runs/{run}/logs", {"message": "m"})
    headers: tuple[dict[str, str | bytes], ...] = (
        {"Origin": "http://["},
        {"Origin": b"\xff\xfe"},
        {"Host": "["},
        {"Cookie": b"runcast_session=\xff; ==;;"},
        {"Authorization": b"Bearer \xff"},
        {"Last-Event-ID": b"\xff"},
        {"Content-Encoding": "gzip"},
        {"Accept": b"\xff/*;q=x"},
        {"X-Forwarded-For": "[,"},
        {"Idempotency-Key": b"\xff"},
        {"Range": "bytes=-"},
    )
    for name, given in enumerate(headers):
        for method, path in (
            ("GET", "/health"),
            ("GET", "/projects"),
            ("POST", f"/projects/{project}/runs"),
            ("GET", "/connections"),
        ):
            sent = {**served.admin, **given}  # type: ignore[dict-item]
            body = b"\x1f\x8b" if method == "POST" else None
            answer = await served.client.request(method, path, headers=sent, content=body)
            assert answer.status_code < 500, (name, given, path, answer.text)
    for path in (
        f"/runs/{run}/logs?after_line=9223372036854775806",
        f"/runs/{run}/stream?project=%FF",
        f"/projects/{project}/events?subscribe_logs=%00",
        f"/projects/{project}/events?epoch=%FF&last_event_id=99999999999999999999",
        "/projects/%FF",
        "/projects/%00",
        "/runs/%ED%A0%80",
    ):
        async with served.client.stream("GET", path, headers=served.admin) as stream:
            assert stream.status_code < 500, path


async def test_cursors_that_somebody_wrote(served: Whole) -> None:
    project = (await served.make("/projects", {"name": "demo"}))["id"]
    task = (await served.make("/projects/demo/tasks", {"title": "t"}))["id"]
    queries = {
        f"/projects/{project}/tasks": ("tasks", UUID(project), None),
        f"/tasks/{task}/transitions": ("transitions", UUID(task)),
        "/admin/audit": ("audit", None, None),
        "/admin/ingest/rejects": ("rejects",),
    }
    forged: tuple[list[object], ...] = (
        [],
        [2**63],
        ["x"],
        [None],
        [1.5, "not an id"],
        [1e400, "x"],
        [True, True],
        [{}, []],
        ["0001-01-01T00:00:00+14:00", "x"],
    )
    for path, query in queries.items():
        for members in forged:
            cursor = pagination.encode(members, *query)
            answer = await served.client.get(path, params={"cursor": cursor}, headers=served.admin)
            assert answer.status_code == 422, (path, members, answer.text)


@pytest.mark.parametrize("value", [2**63, -(2**70), True and "1", None, 1.0])
def test_a_cursors_number_fits_into_the_database(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        pagination.whole(value)


async def test_renaming_at_the_same_moment_and_to_what_one_can_not_see(served: Whole) -> None:
    for name in ("alpha", "beta", "gamma"):
        await served.make("/projects", {"name": name})
    user = await served.make("/admin/users", {"email": "bob@example.org", "name": "b"})
    role = {"role": "owner"}
    await served.make(f"/projects/beta/members/{user['id']}", role, "PUT")
    token = {"token": user["sign_in_link"]["token"], "cookie": False}
    session = (await served.client.post("/auth/login-link", json=token)).json()["token"]
    bob = {"Authorization": f"Bearer {session}"}
    taken = await served.client.patch("/projects/beta", json={"slug": "alpha"}, headers=bob)
    assert taken.status_code == 409
    answers = await asyncio.gather(
        *(
            served.client.patch(f"/projects/{name}", json={"slug": "one"}, headers=served.admin)
            for name in ("alpha", "beta", "gamma")
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
