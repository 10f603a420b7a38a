"""What programs try that were written for other servers: answered as HTTP says, or refused by name."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.integration import whole
from tests.integration.whole import Whole

pytestmark = pytest.mark.anyio


async def test_methods_parameters_times_and_hosts(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with whole.serving(database_url, redis_url, tmp_path) as server:
        await server.make("/projects", {"name": "M", "slug": "m"})
        run = (await server.make("/projects/m/runs", {"labels": {"a": "b"}}))["id"]
        await every_method_of_a_path_is_named(server, run)
        await a_parameter_of_one_value_takes_one(server)
        await times_are_read_as_people_write_them(server)
        await a_precondition_is_never_ignored(server, run)
        await ranges_of_any_size_and_case(server, run)
        await old_clients_name_no_host_and_no_client_two(server)


async def every_method_of_a_path_is_named(server: Whole, run: str) -> None:
    for method, path, allow in (
        ("PUT", "/projects", "GET, HEAD, POST, OPTIONS"),
        ("POST", f"/runs/{run}", "GET, HEAD, PATCH, DELETE, OPTIONS"),
        ("POST", "/events", "GET, HEAD, OPTIONS"),
        ("DELETE", "/projects/m/events", "GET, HEAD, OPTIONS"),
        ("GET", "/connections/x", "PATCH, DELETE, OPTIONS"),
        ("POST", "/health", "GET, HEAD, OPTIONS"),
    ):
        answer = await server.client.request(method, path, headers=server.admin)
        assert (answer.status_code, answer.headers["allow"]) == (405, allow), (method, path)
        asked = await server.client.request("OPTIONS", path)
        assert (asked.status_code, asked.headers["allow"]) == (204, allow), path
    for method in ("GET", "OPTIONS"):
        answer = await server.client.request(method, "/nothing/here", headers=server.admin)
        assert (answer.status_code, "allow" in answer.headers) == (404, False)
        assert "/nothing/here" in answer.json()["detail"]


async def a_parameter_of_one_value_takes_one(server: Whole) -> None:
    for path, field in (
        ("/runs?limit=1&limit=2", "query.limit"),
        ("/projects/m/runs?key=a&key=b", "query.key"),
        ("/projects/m/runs?parent=none&parent=x", "query.parent"),
        ("/projects/m/runs?label=%3Dx", "query.label"),
        ("/projects/m/events?last_event_id=1&last_event_id=2", "query.last_event_id"),
        ("/events?projects=m&log_tail=1&log_tail=2", "query.log_tail"),
    ):
        assert await refused(server, path) == [field], path
    for path in (
        "/runs?limit=1&limit=1",
        "/projects/m/runs?status=queued&status=failed",
        "/projects/m/runs?label=&label=a",
        "/projects/m/runs?attention=any,permission",
    ):
        assert (await server.client.get(path, headers=server.admin)).status_code == 200, path


async def times_are_read_as_people_write_them(server: Whole) -> None:
    for text, found in (
        ("2020-01-31", 1),
        ("2020-01-31T10:00:00", 1),
        ("2020-01-31T10:00:00%2B02:00", 1),
        ("2999-01-01", 0),
    ):
        page = await server.client.get(f"/runs?created_after={text}", headers=server.admin)
        assert (page.status_code, page.json()["total"]) == (200, found), (text, page.text)
    for text in ("2026", "1700000000", "-1", "now", "2026-02-30"):
        field = await refused(server, f"/runs?created_before={text}")
        assert field == ["query.created_before"], text
        assert await refused(server, f"/admin/runtime/events?from={text}") == ["query.from"], text


async def refused(server: Whole, path: str) -> list[Any]:
    answer = await server.client.get(path, headers=server.admin)
    assert answer.status_code == 422, (path, answer.text)
    return [error["field"] for error in answer.json()["errors"]]


async def a_precondition_is_never_ignored(server: Whole, run: str) -> None:
    given = server.admin | {"If-Match": '"another"'}
    for method, path in (
        ("DELETE", f"/runs/{run}"),
        ("POST", f"/runs/{run}/cancel"),
        ("DELETE", "/projects/m"),
    ):
        answer = await server.client.request(method, path, headers=given)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (
            422,
            "header.If-Match",
        ), path
    changed = await server.client.patch(f"/runs/{run}", json={"name": "n"}, headers=given)
    assert changed.status_code == 412
    assert (await server.client.get(f"/runs/{run}", headers=given)).status_code == 200


async def ranges_of_any_size_and_case(server: Whole, run: str) -> None:
    made = await server.make(f"/runs/{run}/artifacts", {"step_name": "s", "content": "0123"})
    path = f"/artifacts/{made['id']}/content"
    for wanted, status, body in (
        ("BYTES=1-2", 206, b"01"),
        (f"bytes=4-{2**64}", 206, b'3"'),
        (f"bytes=-{2**64}", 206, b'"0123"'),
        (f"bytes={2**64}-", 416, None),
    ):
        part = await server.client.get(path, headers=server.admin | {"Range": wanted})
        assert part.status_code == status, wanted
        assert body is None or part.content == body, wanted


async def old_clients_name_no_host_and_no_client_two(server: Whole) -> None:
    token = server.admin["Authorization"]
    for head, status in (
        ("GET /projects HTTP/1.0\r\n", b"200"),
        ("GET /projects HTTP/1.0\r\nHost: elsewhere\r\n", b"421"),
        ("GET /projects HTTP/1.1\r\nConnection: close\r\n", b"400"),
        ("GET /projects HTTP/1.1\r\nHost: localhost\r\nHost: x\r\nConnection: close\r\n", b"400"),
    ):
        url = server.client.base_url
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(f"{head}Authorization: {token}\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 20)
        assert answer.split()[1] == status, (head, answer)
        writer.close()
