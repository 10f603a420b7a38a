"""HTTP as it is meant: HEAD, tags, ranges, codings, weights, names of parameters, old clients."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.rest import Rest, listening, serving

pytestmark = pytest.mark.anyio
GZIP = {"Content-Encoding": "gzip", "Content-Type": "application/json"}


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


async def test_head_answers_as_get_without_a_body(rest: Rest) -> None:
    run = await rest.run()
    await rest.admin.post(f"/runs/{run}/logs", json=[{"message": "m"}] * 3000)
    text = {"Accept": "text/plain"}
    for path in ("/", "/docs", "/openapi.json", "/projects", f"/runs/{run}", f"/runs/{run}/logs"):
        got = await rest.admin.get(path)
        head = await rest.admin.head(path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        for name in ("content-type", "content-length", "etag"):
            assert head.headers.get(name) == got.headers.get(name), (path, name)
    assert (await rest.admin.head("/runs/absent?project=demo")).status_code == 404
    async with listening(rest) as url:
        head = await rest.admin.head(f"{url}/runs/{run}/logs", headers=text)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"].startswith("text/plain")
        assert (await rest.admin.get(f"{url}/runs/{run}")).status_code == 200


async def test_who_has_the_newest_version_is_sent_nothing(rest: Rest) -> None:
    run = await rest.run()
    first = await rest.admin.get(f"/runs/{run}")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    assert "Authorization" in first.headers["vary"]
    for named in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        same = await rest.admin.get(f"/runs/{run}", headers={"If-None-Match": named})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    await rest.admin.patch(f"/runs/{run}", json={"name": "other"})
    changed = await rest.admin.get(f"/runs/{run}", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    made = await rest.admin.post("/projects/demo/runs")
    assert (made.headers["cache-control"], made.headers.get("etag")) == ("no-store", None)


async def test_a_change_of_another_version_is_refused(rest: Rest) -> None:
    run = await rest.run()
    task = (
        await rest.admin.post(
            "/projects/demo/tasks", json={"title": "t", "subtasks": [{"title": "s"}]}
        )
    ).json()
    places = {
        f"/runs/{run}": "name",
        "/projects/demo": "name",
        f"/tasks/{task['id']}": "title",
        f"/subtasks/{task['subtasks'][0]['id']}": "title",
    }
    for path, member in places.items():
        tag = (await rest.admin.get(path)).headers["etag"]
        mine, theirs = (
            rest.admin.patch(path, json={member: value}, headers={"If-Match": tag})
            for value in ("mine", "theirs")
        )
        told = sorted(answer.status_code for answer in await asyncio.gather(mine, theirs))
        assert told == [200, 412], path
        late = await rest.admin.patch(path, json={member: "late"}, headers={"If-Match": tag})
        assert late.json()["type"] == "urn:runcast:problem:precondition-failed"
        anyhow = await rest.admin.patch(path, json={member: "last"}, headers={"If-Match": "*"})
        assert anyhow.status_code == 200


async def test_a_part_of_what_is_there(rest: Rest) -> None:
    run = await rest.run()
    content = bytes(range(256)) * 8192
    sent = {"file": ("f.bin", content, "application/x-y")}
    made = await rest.admin.post(f"/runs/{run}/artifacts", data={"step_name": "s"}, files=sent)
    small = await rest.admin.post(
        f"/runs/{run}/artifacts", json={"step_name": "j", "content": "0123456789"}
    )
    await rest.admin.post(f"/runs/{run}/logs", json=[{"message": f"{n}"} for n in range(1000)])
    wholes = {
        f"/artifacts/{made.json()['id']}/content": content,
        f"/artifacts/{small.json()['id']}/content": b'"0123456789"',
        f"/runs/{run}/logs": b"".join(b"%d\n" % n for n in range(1000)),
    }
    for path, whole in wholes.items():
        size = len(whole)
        text = {"Accept": "text/plain"}
        got = await rest.admin.get(path, headers=text)
        assert (got.content, got.headers["accept-ranges"]) == (whole, "bytes")
        for wanted, start, end in (("0-4", 0, 5), ("3-", 3, size), ("-4", size - 4, size)):
            part = await rest.admin.get(path, headers=text | {"Range": f"bytes={wanted}"})
            assert (part.status_code, part.content) == (206, whole[start:end]), (path, wanted)
            assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        beyond = await rest.admin.get(path, headers=text | {"Range": f"bytes={size}-"})
        assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
        for odd in ("lines=0-4", "bytes=5-1", "bytes=0-1,3-4", "bytes=-", "x"):
            assert (await rest.admin.get(path, headers=text | {"Range": odd})).content == whole
    path = f"/artifacts/{made.json()['id']}/content"
    tag = (await rest.admin.head(path)).headers["etag"]
    for version, status in ((tag, 206), ('"other"', 200)):
        headers = {"Range": "bytes=0-4", "If-Range": version}
        assert (await rest.admin.get(path, headers=headers)).status_code == status
    assert (await rest.admin.get(path, headers={"If-None-Match": tag})).status_code == 304


async def test_what_the_client_would_rather_have(rest: Rest) -> None:
    run = await rest.run()
    for accept, kind in (
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("application/json;q=0.5, text/plain", "text/plain; charset=utf-8"),
        ("text/plain;q=0.1, application/x-ndjson;q=0.9, */*;q=0", "application/x-ndjson"),
        ("text/plain;q=0, application/json", "application/json"),
        ("image/png", "application/json"),
    ):
        got = await rest.admin.get(f"/runs/{run}/logs", headers={"Accept": accept})
        assert got.headers["content-type"] == kind, accept
        assert "Accept" in got.headers["vary"]
    page = await rest.admin.get("/", headers={"Accept": "application/json, text/html;q=0.5"})
    assert page.status_code == 200


async def test_compressed_bodies(rest: Rest) -> None:
    body = gzip.compress(b'{"key": ') + gzip.compress(b'"packed"}')
    made = await rest.admin.post("/projects/demo/runs", content=body, headers=GZIP)
    assert (made.status_code, made.json()["key"]) == (201, "packed")
    lines = gzip.compress(b'{"message": "m"}\n' * 5000)
    headers = GZIP | {"Content-Type": "application/x-ndjson"}
    taken = await rest.admin.post(f"/runs/{made.json()['id']}/logs", content=lines, headers=headers)
    assert taken.status_code == 201, taken.text
    shown = (await rest.admin.get(f"/runs/{made.json()['id']}")).json()
    assert shown["last_line_number"] == 5000
    bomb = zlib.compress(b"[" + b" " * 50_000_000, 9, wbits=31)
    assert len(bomb) < 100_000
    for content, coding, status in (
        (bomb, "gzip", 413),
        (body[:-3], "gzip", 400),
        (b"{}", "gzip", 400),
        (b"{}", "br", 415),
    ):
        refused = await rest.admin.post(
            "/projects/demo/runs", content=content, headers=GZIP | {"Content-Encoding": coding}
        )
        assert refused.status_code == status, refused.text
    assert refused.headers["accept-encoding"] == "gzip, identity"


async def test_parameters_that_nobody_knows_are_refused_by_name(rest: Rest) -> None:
    run = await rest.run()
    asked = {
        "/runs?staus=failed": "query.staus: no such parameter; did you mean 'status'?",
        f"/runs/{run}/logs?Limit=5": "query.Limit: no such parameter; did you mean 'limit'?",
        "/projects/demo/events/history?zzz=1": "query.zzz: no such parameter",
        f"/runs/{run}/artifacts?version=all": "did you mean 'versions'?",
    }
    for path, said in asked.items():
        refused = await rest.admin.get(path)
        assert refused.status_code == 422, path
        assert said in refused.json()["detail"]
        assert refused.json()["errors"]
    posted = await rest.admin.post(f"/runs/{run}/logs?projekt=x", json={"message": "m"})
    assert "did you mean 'project'?" in posted.json()["detail"]
    assert (await rest.admin.get("/runs?x=1", headers={"Authorization": ""})).status_code == 401


async def test_null_is_refused_for_what_may_not_be_empty(rest: Rest) -> None:
    run = await rest.run(name="n")
    task = (
        await rest.admin.post(
            "/projects/demo/tasks", json={"title": "t", "subtasks": [{"title": "s"}]}
        )
    ).json()
    for path, member in (
        ("/projects/demo", "name"),
        ("/projects/demo", "retention"),
        (f"/runs/{run}", "status"),
        (f"/runs/{run}", "labels"),
        (f"/tasks/{task['id']}", "title"),
        (f"/subtasks/{task['subtasks'][0]['id']}", "priority"),
    ):
        refused = await rest.admin.patch(path, json={member: None})
        assert refused.status_code == 422, path
        assert refused.json()["errors"][0]["field"] == f"body.{member}"
    emptied = await rest.admin.patch(f"/runs/{run}", json={"name": None})
    assert emptied.json()["name"] is None


async def asked_by_http_1_0(
    rest: Rest, url: str, path: str, accept: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    token = rest.admin.headers["authorization"]
    writer.write(
        f"GET {path} HTTP/1.0\r\nHost: localhost\r\nAuthorization: {token}\r\n"
        f"Accept: {accept}\r\n\r\n".encode()
    )
    return reader, writer


async def test_an_answer_to_http_1_0_ends_with_its_connection(rest: Rest) -> None:
    run = await rest.run()
    await rest.admin.post(f"/runs/{run}/logs", json=[{"message": "x" * 500}] * 3000)
    async with listening(rest) as url:
        reader, writer = await asked_by_http_1_0(rest, url, f"/runs/{run}/logs", "text/plain")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        assert b"transfer-encoding" not in head.lower()
        assert b"connection: close" in head.lower()
        assert body == (b"x" * 500 + b"\n") * 3000


async def test_a_stream_reaches_a_client_of_http_1_0_as_it_comes(rest: Rest) -> None:
    async with listening(rest) as url:
        reader, writer = await asked_by_http_1_0(rest, url, "/admin/stream", "text/event-stream")
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            event = await asyncio.wait_for(reader.readuntil(b"\n\n"), 20)
        finally:
            writer.close()
    assert head.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in head.lower()
    assert event.startswith((b"event:", b"id:", b"data:", b":", b"retry:"))
