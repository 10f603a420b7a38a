"""Artifacts over HTTP: their versions, their bytes, on a folder and on an S3 of its own process."""

import asyncio
import hashlib
import multiprocessing
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from tests import object_store
from tests.integration.rest import Rest, serving

pytestmark = pytest.mark.anyio

BIG = bytes(range(256)) * 30_000  # 7.3 MiB: more than one part of a multipart upload


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """The port of an S3 stand-in, a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=object_store.serve, args=(theirs,), daemon=True)
    process.start()
    yield ours.recv()
    process.terminate()
    process.join()


@pytest.fixture(params=["folder", "s3"])
async def rest(
    request: pytest.FixtureRequest,
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Rest]:
    given: dict[str, Any] = {}
    if request.param == "s3":
        port = request.getfixturevalue("s3_port")
        for name, value in object_store.environment(port).items():
            monkeypatch.setenv(name, value)
        given["artifacts_url"] = f"s3://runcast/{tmp_path.name}"
    async with serving(database_url, redis_url, tmp_path, **given) as rest:
        await rest.project()
        yield rest


async def upload(rest: Rest, run: str, content: bytes, **fields: str) -> Any:
    answer = await rest.admin.post(
        f"/runs/{run}/artifacts",
        data={"step_name": "zip"} | fields,
        files={"file": ("a b.zip", content, "application/zip")},
    )
    return answer


async def test_bytes_come_back_as_they_were_sent(rest: Rest) -> None:
    run = await rest.run()
    for version, content in enumerate((b"", b"small", BIG), 1):
        made = await upload(rest, run, content)
        assert made.status_code == 201, made.text
        shown = made.json()
        assert (shown["version"], shown["size"]) == (version, len(content))
        assert shown["sha256"] == hashlib.sha256(content).hexdigest()
        read = await rest.admin.get(f"/artifacts/{shown['id']}/content")
        assert read.content == content
        assert read.headers["content-disposition"].startswith('attachment; filename="a b.zip"')
        assert read.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in read.headers["content-security-policy"]
    [latest] = (await rest.admin.get(f"/runs/{run}/artifacts")).json()["artifacts"]
    assert latest["version"] == 3
    every = (await rest.admin.get(f"/runs/{run}/artifacts?versions=all")).json()
    assert [artifact["version"] for artifact in every["artifacts"]] == [3, 2, 1]
    told = [event for event in await rest.events() if event["type"] == "artifact:created"]
    assert [event["data"]["size"] for event in told] == [0, 5, len(BIG)]


async def test_json_content_is_shown_in_the_run(rest: Rest) -> None:
    run = await rest.run()
    content = {"title": "t", "z": 1, "a": [None, "\x00"]}
    for step, value in (("idea", content), ("idea", content), ("outline", "text"), ("none", None)):
        made = await rest.admin.post(
            f"/runs/{run}/artifacts", json={"step_name": step, "content": value}
        )
        assert (made.status_code, made.json()["content"]) == (201, value)
    shown = {
        artifact["step_name"]: (artifact["version"], artifact["content"])
        for artifact in (await rest.admin.get(f"/runs/{run}")).json()["artifacts"]
    }
    assert shown == {"idea": (2, content), "outline": (1, "text"), "none": (1, None)}
    only = await rest.admin.get(f"/runs/{run}/artifacts?step_name=outline")
    assert [artifact["step_name"] for artifact in only.json()["artifacts"]] == ["outline"]


async def test_versions_are_right_under_concurrency(rest: Rest) -> None:
    run = await rest.run()
    answers = await asyncio.gather(
        *(
            rest.admin.post(f"/runs/{run}/artifacts", json={"step_name": "s", "content": number})
            for number in range(20)
        )
    )
    assert sorted(answer.json()["version"] for answer in answers) == list(range(1, 21))


async def test_an_id_of_ones_own(rest: Rest) -> None:
    run, other = await rest.run(), await rest.run()
    id = "01a1f94d-287c-779b-bb7d-f56e512a6ff7"
    first = await upload(rest, run, BIG, id=id)
    again = await upload(rest, run, b"other", id=id)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["sha256"] == first.json()["sha256"]
    assert (await upload(rest, other, b"x", id=id)).status_code == 409


async def test_what_fails_leaves_nothing_in_the_store(rest: Rest, tmp_path: Path) -> None:
    run = await rest.run()
    assert (await upload(rest, run, BIG, step_name="")).status_code == 422
    assert (await upload(rest, run, BIG, id="nonsense")).status_code == 422
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + BIG
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    cut = await rest.admin.post(f"/runs/{run}/artifacts", content=form, headers=headers)
    assert cut.status_code == 400
    two = [("file", ("a", BIG)), ("file", ("b", b"x"))]
    more = await rest.admin.post(f"/runs/{run}/artifacts", data={"step_name": "s"}, files=two)
    assert more.status_code == 422
    nothing = await rest.admin.post(
        f"/runs/{run}/artifacts", content=b"", headers={"Content-Type": "multipart/form-data"}
    )
    assert nothing.status_code == 400
    assert (await rest.admin.get(f"/runs/{run}/artifacts")).json()["total"] == 0
    assert not [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]


async def test_a_change_that_fails_takes_its_object_back(
    rest: Rest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await rest.run()

    async def fail(*_: Any) -> Any:
        raise asyncpg.PostgresError("no")

    monkeypatch.setattr("runcast_api.artifacts.artifacts.create", fail)
    assert (await upload(rest, run, BIG)).status_code == 500
    assert not [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]


async def test_what_was_uploaded_is_never_shown_as_a_page(rest: Rest) -> None:
    run = await rest.run()
    page = b"<script>alert(1)</script>"
    made = await rest.admin.post(
        f"/runs/{run}/artifacts",
        data={"step_name": "page", "media_type": "text/html\r\nX: y"},
        files={"file": ('"; x.html', page, "text/html")},
    )
    read = await rest.admin.get(f"/artifacts/{made.json()['id']}/content")
    assert read.headers["content-disposition"].startswith("attachment;")
    assert read.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert "x" not in read.headers
    assert read.content == page


NO_JSON = [
    b"",
    b'{"a": NaN}',
    b"\xef\xbb\xbf{}",
    b"\xff\x00",
    b"[" * 200 + b"]" * 200,
    b"{} {}",
    b"{",
]


async def test_json_that_is_none_is_kept_as_bytes_and_breaks_no_answer(rest: Rest) -> None:
    """It is stored as it is, and never spliced into an answer."""
    run = await rest.run()
    for content in NO_JSON:
        answer = await rest.admin.post(
            f"/runs/{run}/artifacts",
            data={"step_name": "idea"},
            files={"file": ("a.json", content, "application/json")},
        )
        assert (answer.status_code, answer.json()["content"]) == (201, None), content
        stored = await rest.admin.get(f"/artifacts/{answer.json()['id']}/content")
        assert stored.content == content
    for path in (f"/runs/{run}", f"/runs/{run}/artifacts?versions=all"):
        shown = await rest.admin.get(path)
        assert shown.status_code == 200
        assert orjson.loads(shown.content)
    exported = await rest.admin.get(f"/runs/{run}/export?format=ndjson")
    for each in exported.content.splitlines():
        orjson.loads(each)
