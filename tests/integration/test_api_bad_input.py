"""What comes in wrong gets a clear answer: never a 500, never a hang, and nothing that was good is lost."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from runcast_server import db
from runcast_server.errors import PROBLEM_MEDIA_TYPE
from tests.integration.rest import Rest, listening, serving
from tests.waiting import until

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
MEGABYTE = 1024 * 1024


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


@pytest.fixture
async def run(rest: Rest) -> str:
    return await rest.run()


def refused(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    """The problem that an answer must be."""
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == PROBLEM_MEDIA_TYPE
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"].startswith("urn:runcast:problem:")
    assert problem["title"]
    return problem


async def test_an_unknown_run(rest: Rest) -> None:
    for run in (str(uuid4()), "00000000-0000-0000-0000-000000000000"):
        for method, path, body in (
            ("GET", "", None),
            ("PATCH", "", {"status": "running"}),
            ("POST", "/cancel", None),
            ("POST", "/retry", None),
            ("POST", "/progress", {"stage": "x", "message": "m"}),
            ("POST", "/heartbeat", None),
            ("GET", "/status", None),
            ("POST", "/artifacts", {"step_name": "x", "content": 1}),
            ("GET", "/artifacts", None),
            ("POST", "/logs", {"message": "x"}),
            ("GET", "/logs", None),
            ("GET", "/logs/search?q=x", None),
            ("GET", "/logs/1/raw", None),
            ("POST", "/tail", {"path": "x"}),
            ("GET", "/tail", None),
            ("DELETE", "/tail", None),
            ("POST", "/demo", None),
        ):
            refused(await rest.admin.request(method, f"/runs/{run}{path}", json=body), 404)


async def test_a_foreign_project(rest: Rest, run: str) -> None:
    by_id = (await rest.admin.get("/projects/demo")).json()["id"]
    stranger = rest.person("stranger")
    for path in ("", "/runs", "/active-runs", "/events/history"):
        refused(await rest.admin.get(f"/projects/{by_id}{path}", headers=stranger), 403)
        refused(await rest.admin.get(f"/projects/demo{path}", headers=stranger), 404)
    for path in ("", "/logs", "/artifacts", "/status", "/tail"):
        refused(await rest.admin.get(f"/runs/{run}{path}", headers=stranger), 404)
    entry = {"message": "x"}
    refused(await rest.admin.post(f"/runs/{run}/logs", json=entry, headers=stranger), 404)
    artifact = await rest.admin.post(
        f"/runs/{run}/artifacts", json={"step_name": "s", "content": 1}
    )
    id = artifact.json()["id"]
    refused(await rest.admin.get(f"/artifacts/{id}", headers=stranger), 404)
    refused(await rest.admin.get(f"/artifacts/{id}/content", headers=stranger), 404)
    await rest.project("other")
    refused(await rest.admin.get(f"/projects/other/events/history?run_id={run}"), 404)
    assert (await rest.admin.get("/runs", headers=stranger)).json()["total"] == 0


async def test_no_token_or_a_bad_one(rest: Rest) -> None:
    for headers in (
        {"Authorization": ""},
        {"Authorization": "Bearer rc_nonsense"},
        {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."},
        {"Authorization": "Basic eDp5"},
    ):
        answer = await rest.admin.get("/projects", headers=headers)
        refused(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_an_illegal_transition_and_an_unknown_status(rest: Rest, run: str) -> None:
    await rest.admin.patch(f"/runs/{run}", json={"status": "completed"})
    assert "completed" in refused(await rest.admin.post(f"/runs/{run}/cancel"), 409)["detail"]
    problem = refused(await rest.admin.patch(f"/runs/{run}", json={"status": "paused"}), 422)
    assert problem["errors"][0]["field"] == "body.status"
    await rest.admin.patch(f"/runs/{run}", json={"status": "completed"})
    refused(await rest.admin.patch(f"/runs/{run}", json={"status": None}), 422)


NOT_JSON = {
    "open": b"{",
    "cut": b'{"message": "a"',
    "binary": b"\xff\xfe",
    "latin-1": b'{"message": "\xff"}',
    "surrogate": b'{"message": "\\ud800"}',
    "nan": b'{"message": NaN}',
    "open arrays": b"[" * 100_000,
    "deep": b'{"payload": ' + b"[" * 500 + b"]" * 500 + b"}",
}


async def test_what_is_not_json_in_utf8(rest: Rest, run: str) -> None:
    for body in NOT_JSON.values():
        for method, path in (
            ("POST", f"/runs/{run}/logs"),
            ("POST", f"/runs/{run}/artifacts"),
            ("POST", "/projects/demo/runs"),
            ("PATCH", f"/runs/{run}"),
            ("POST", "/projects"),
        ):
            answer = await rest.admin.request(method, path, content=body, headers=JSON)
            refused(answer, 400)
        refused(await rest.admin.post(f"/runs/{run}/logs", content=body, headers=NDJSON), 400)


async def test_json_of_another_kind(rest: Rest, run: str) -> None:
    for body in (b"1", b'"x"', b"null", b"true", b"[1]", b"[[]]", b"", b" "):
        for path in (f"/runs/{run}/logs", f"/runs/{run}/artifacts", "/projects"):
            answer = await rest.admin.post(path, content=body, headers=JSON)
            refused(answer, 400, 422)


async def test_fields_are_named(rest: Rest, run: str) -> None:
    cases: list[tuple[str, str, Any, str]] = [
        ("POST", "/projects", {}, "body.name"),
        ("POST", "/projects", {"name": "x", "slug": "No Slug"}, "body.slug"),
        ("POST", "/projects", {"name": "x", "slug": str(uuid4())}, "body.slug"),
        ("POST", "/projects/demo/runs", {"steps": "x"}, "body.steps"),
        ("POST", "/projects/demo/runs", {"key": "a/b"}, "body.key"),
        ("POST", "/projects/demo/runs", {"key": ".."}, "body.key"),
        ("POST", "/projects/demo/runs", {"key": str(uuid4())}, "body.key"),
        ("POST", "/projects/demo/runs", {"id": "x"}, "body.id"),
        ("POST", "/projects/demo/runs", {"nonsense": 1}, "body.nonsense"),
        ("POST", f"/runs/{run}/progress", {"stage": "x", "percent": 101}, "body.percent"),
        ("POST", f"/runs/{run}/progress", {"stage": "x", "ts": "soon"}, "body.ts"),
        ("POST", f"/runs/{run}/heartbeat", {"expect_next_in_s": -1}, "body.expect_next_in_s"),
        ("POST", f"/runs/{run}/artifacts", {"content": 1}, "body.step_name"),
        ("POST", f"/runs/{run}/logs", {"message": 1}, "body.message"),
        ("POST", f"/runs/{run}/logs", {"message": "x", "ts": "soon"}, "body.ts"),
        ("POST", f"/runs/{run}/logs", {"type": "lines"}, "body.first_line"),
        ("POST", f"/runs/{run}/tail", {}, "body.path"),
        ("GET", "/runs?limit=0", None, "query.limit"),
        ("GET", "/runs?limit=1001", None, "query.limit"),
        ("GET", "/runs?status=x", None, "query.status.0"),
        ("GET", f"/projects/demo/runs?q={'x' * 201}", None, "query.q"),
        ("GET", "/runs?cursor=x", None, "query.cursor"),
        ("GET", "/projects?cursor=e30", None, "query.cursor"),
        ("GET", f"/runs/{run}/logs?tail=-1", None, "query.tail"),
        ("GET", f"/runs/{run}/logs?after_line=99999999999999999999", None, "query.after_line"),
        ("GET", f"/runs/{run}/status?last=x", None, "query.last"),
        ("GET", "/projects/demo/events/history?after=-1", None, "query.after"),
        ("GET", "/artifacts/nonsense", None, "path.artifact"),
    ]
    for method, path, body, field in cases:
        problem = refused(await rest.admin.request(method, path, json=body), 422)
        fields = {error["field"] for error in problem["errors"]}
        assert field in fields, (method, path, problem)


async def test_nul_is_kept_where_json_is_and_refused_where_text_is(rest: Rest) -> None:
    cases: list[tuple[str, dict[str, Any]]] = [
        ("/projects", {"name": "a\x00b"}),
        ("/projects/demo/runs", {"name": "a\x00"}),
        ("/projects/demo/runs", {"steps": ["a\x00"]}),
    ]
    for path, body in cases:
        assert "NUL" in refused(await rest.admin.post(path, json=body), 422)["detail"]
    kept = {"prompt": "a\x00b", "\x00": ["\x00"]}
    run = await rest.run(input=kept, metadata=kept)
    shown = (await rest.admin.get(f"/runs/{run}")).json()
    assert (shown["input"], shown["metadata"]) == (kept, kept)
    await rest.admin.post(f"/runs/{run}/logs", json={"message": "a\x00b", "payload": kept})
    [entry] = (await rest.admin.get(f"/runs/{run}/logs?q=A%0")).json()["logs"] or [None]
    assert entry is None
    [entry] = (await rest.admin.get(f"/runs/{run}/logs")).json()["logs"]
    assert (entry["message"], entry["payload"]) == ("a\x00b", kept)
    made = await rest.admin.post(f"/runs/{run}/artifacts", json={"step_name": "s", "content": kept})
    assert made.json()["content"] == kept
    for path in (
        f"/runs/{run}%00",
        "/projects/a%00",
        "/runs?status=%00",
        "/runs?q=%00",
        f"/runs/{run}/logs?q=%00",
    ):
        refused(await rest.admin.get(path), 422)
    refused(await rest.admin.post(f"/runs/{run}/tail", json={"path": "a\x00"}), 422)
    refused(await rest.admin.patch(f"/runs/{run}", json={"error": "a\x00"}), 422)


async def test_numbers_that_nobody_can_hold(rest: Rest) -> None:
    run = await rest.run(input={"n": 2**63})
    big = b'{"input": {"n": 123456789012345678901234567890}}'
    assert (await rest.admin.post("/projects/demo/runs", content=big)).status_code == 201
    huge = b'{"input": {"n": 1e999}}'
    refused(await rest.admin.post("/projects/demo/runs", content=huge), 400)
    assert (await rest.admin.get(f"/runs/{run}")).json()["input"] == {"n": 2**63}


async def test_a_line_of_ten_megabytes(rest: Rest, run: str) -> None:
    line = "x" * (10 * MEGABYTE)
    problem = refused(await rest.admin.post(f"/runs/{run}/logs", json={"message": line}), 413)
    assert "65,536 bytes" in problem["detail"]
    content = b'{"message":"before"}\n{"message":"' + line.encode() + b'"}\n'
    problem = refused(
        await rest.admin.post(f"/runs/{run}/logs", content=content, headers=NDJSON), 413
    )
    assert problem["accepted"] == 1
    refused(await rest.admin.post(f"/runs/{run}/logs", json={"payload": line}), 413)
    page = (await rest.admin.get(f"/runs/{run}/logs")).json()["logs"]
    assert [entry["message"] for entry in page] == ["before"]


async def test_a_body_of_a_hundred_megabytes_is_refused_before_it_comes(
    rest: Rest, run: str
) -> None:
    token = rest.admin.headers["Authorization"]
    async with listening(rest) as url:
        port = int(url.rpartition(":")[2])
        for path in ("/projects", f"/runs/{run}/logs", f"/runs/{run}/artifacts"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n"
                "Content-Type: application/json\r\nContent-Length: 100000000\r\n\r\n{".encode()
            )
            async with asyncio.timeout(10):
                assert await reader.readline() == b"HTTP/1.1 413 Request Entity Too Large\r\n"
            writer.close()
            await writer.wait_closed()


async def test_what_is_wrong_is_named_where_it_stands(rest: Rest, run: str) -> None:
    for path, body, field in (
        ("/projects/demo/runs", {"current_step": "x"}, "body.current_step"),
        ("/projects/demo/runs", {"steps": ["a", "a"]}, "body.steps"),
        ("/projects/demo/runs", {"budget": {}}, "body.budget.max_cost_usd"),
        ("/projects/demo/runs", {"list[a]": 1}, "body.list[a]"),
        (f"/runs/{run}/metrics", {"metrics": {"a": "x"}}, "body.metrics.a"),
        (f"/runs/{run}/metrics", [{"metrics": {"a": 1}}, {"metrics": 1}], "body.1.metrics"),
        (f"/runs/{run}/metrics", [], "body"),
        (f"/runs/{run}/metrics", 7, "body"),
        ("/runtime/events", {"layer": "x"}, "body.layer"),
        ("/runtime/events", [{"layer": "x"}], "body.0.layer"),
    ):
        answer = await rest.admin.post(path, json=body)
        assert answer.status_code == 422, (path, answer.text)
        assert answer.json()["errors"][0]["field"] == field, answer.text
        assert not {"Measured", "RuntimeEventNew"} & set(re.findall(r"\w+", answer.text))


@pytest.mark.parametrize("announced", [True, False])
async def test_who_sends_a_hundred_megabytes_is_told_so(
    rest: Rest, run: str, announced: bool
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * MEGABYTE

    headers = JSON | ({"Content-Length": str(100 * MEGABYTE)} if announced else {})
    async with listening(rest) as url, httpx.AsyncClient(base_url=url, timeout=20) as client:
        client.headers["Authorization"] = rest.admin.headers["Authorization"]
        for path in (
            "/projects",
            "/projects/demo/runs",
            f"/runs/{run}/logs",
            f"/runs/{run}/artifacts",
        ):
            refused(await client.post(path, content=body(), headers=headers), 413)
        assert (await client.get("/projects")).status_code == 200


async def test_a_client_that_goes_away_in_the_middle(rest: Rest, run: str) -> None:
    async with listening(rest) as url:
        port = int(url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        token = rest.admin.headers["Authorization"]
        writer.write(
            f"POST /runs/{run}/logs HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{".encode()
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert (await rest.admin.get(f"/runs/{run}/logs")).json()["logs"] == []


async def test_paths_outside_of_the_roots(rest: Rest, run: str, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    outside = tmp_path / "secret.txt"
    outside.write_text("x")
    (runs / "link").symlink_to(outside)
    (runs / "up").symlink_to(tmp_path)
    os.mkfifo(runs / "pipe")
    (runs / "fine.txt").write_text("x")

    async def tail(path: str) -> httpx.Response:
        return await rest.admin.post(f"/runs/{run}/tail", json={"path": path})

    for path in (
        "/etc/passwd",
        "../secret.txt",
        str(outside),
        "up/secret.txt",
        "a/../../secret.txt",
    ):
        refused(await tail(path), 403)
    for path in ("link", "pipe", ".", str(runs)):
        refused(await tail(path), 403, 422)
    for path in ("fine.txt", str(runs / "fine.txt"), "not/there/yet.log"):
        for _ in range(2):
            answer = await tail(path)
            assert answer.status_code == 200, answer.text
    shown = (await rest.admin.get(f"/runs/{run}/tail")).json()["tails"]
    assert {(each["source"], each["active"]) for each in shown} == {
        ("fine.txt", True),
        ("yet.log", True),
    }
    (runs / "fine.txt").unlink()
    (runs / "fine.txt").symlink_to(outside)
    shown = (await rest.admin.get(f"/runs/{run}/tail")).json()["tails"]
    troubles = {each["source"]: each["trouble"] for each in shown}
    assert troubles["yet.log"] == "is not there yet"
    assert "link" in troubles["fine.txt"]
    refused(await tail("*.log"), 422)
    where = {"path": "not/there/yet.log", "zone": "Europe/Atlantis"}
    said = refused(await rest.admin.post(f"/runs/{run}/tail", json=where), 422)
    assert said["errors"][0]["message"] == "is no time zone (for example Europe/Berlin)"
    zoned = await rest.admin.post(f"/runs/{run}/tail", json=where | {"zone": "Europe/Berlin"})
    assert zoned.json()["zone"] == "Europe/Berlin"
    assert (await rest.admin.delete(f"/runs/{run}/tail?source=yet.log")).status_code == 204
    refused(await rest.admin.delete(f"/runs/{run}/tail?source=nothing"), 404)


async def test_postgres_away_in_the_middle(
    rest: Rest, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "ACQUIRE_SECONDS", 0.2)
    database = rest.resources.database
    held = [await pool.acquire() for pool in (database.log, database.requests) for _ in range(5)]
    try:
        for answer in await asyncio.gather(
            rest.admin.get("/projects"),
            rest.admin.get(f"/runs/{run}"),
            rest.admin.post(f"/runs/{run}/logs", json={"message": "x"}),
            rest.admin.post("/projects/demo/runs"),
        ):
            refused(answer, 503)
            assert int(answer.headers["Retry-After"]) > 0
    finally:
        for pool, connection in zip(
            [database.log] * 5 + [database.requests] * 5, held, strict=True
        ):
            await pool.release(connection)
    assert (await rest.admin.post(f"/runs/{run}/logs", json={"message": "x"})).status_code == 201


async def test_the_database_cut_off_under_a_request(
    rest: Rest, run: str, database_url: str
) -> None:

    async def end_sessions() -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await connection.close()

    statuses: set[int] = set()
    for number in range(3):
        asking = [
            asyncio.create_task(ask)
            for ask in (
                rest.admin.get(f"/runs/{run}"),
                rest.admin.get(f"/runs/{run}/logs?q=x"),
                rest.admin.post(f"/runs/{run}/logs", json={"message": str(number)}),
                rest.admin.post("/projects/demo/runs"),
            )
        ]
        await end_sessions()
        statuses |= {answer.status_code for answer in await asyncio.gather(*asking)}

        async def is_back() -> bool:
            return (await rest.admin.get(f"/runs/{run}")).status_code == 200

        await until(is_back)
    assert statuses <= {200, 201, 503}


async def test_redis_away_stops_nothing(database_url: str, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{unused.getsockname()[1]}/0"
    async with serving(database_url, url, tmp_path) as rest:
        await rest.project()
        run = await rest.run(status="running")
        assert (
            await rest.admin.post(f"/runs/{run}/logs", json={"message": "x"})
        ).status_code == 201
        assert (await rest.admin.delete("/projects/demo")).status_code == 204
        readiness = await rest.service.ready()
        assert "redis" in readiness.degraded
