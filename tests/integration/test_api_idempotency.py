"""`Idempotency-Key`: the first answer again, the change done once, whatever happens at the same time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.rest import Rest, serving

pytestmark = pytest.mark.anyio

NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


def key(name: str) -> dict[str, str]:
    return {"Idempotency-Key": name}


async def test_every_post_of_a_run_answers_the_same_again(rest: Rest) -> None:
    run = await rest.run(status="running")
    for path, body in (
        ("/projects", {"name": "New"}),
        ("/projects/demo/runs", {"name": "x"}),
        (f"/runs/{run}/progress", {"stage": "idea", "message": "m"}),
        (f"/runs/{run}/heartbeat", {}),
        (f"/runs/{run}/logs", {"message": "x"}),
        (f"/runs/{run}/logs", [{"message": "x"}, {"message": "y"}]),
        (f"/runs/{run}/artifacts", {"step_name": "s", "content": 1}),
        (f"/runs/{run}/tail", {"path": "x.log"}),
        (f"/runs/{run}/retry", {}),
        (f"/runs/{run}/cancel", {}),
    ):
        name = f"{path} {body!r}"
        first = await rest.admin.post(path, json=body, headers=key(name))
        assert first.status_code in (200, 201), first.text
        before = len(await rest.events())
        again = await rest.admin.post(path, json=body, headers=key(name))
        assert (again.status_code, again.json()) == (first.status_code, first.json()), path
        assert len(await rest.events()) == before
        other = await rest.admin.post(path, json={"name": "other"}, headers=key(name))
        assert other.status_code == 422, path


async def test_a_stream_is_taken_once_part_by_part(rest: Rest) -> None:
    run = await rest.run()
    lines = [b'{"message":"%d"}\n' % number for number in range(2500)]
    cut_off = b"".join(lines[:1800])
    path = f"/runs/{run}/logs"
    for content in (cut_off[:-3], b"".join(lines), b"".join(lines)):
        await rest.admin.post(path, content=content, headers=NDJSON | key("k"))
    page = await rest.admin.get(path, headers={"Accept": "text/plain"})
    shown = page.text.splitlines()
    assert [int(line) for line in shown[:1000]] == list(range(1000))
    assert len(set(shown)) == 2500


async def test_many_with_one_key_at_once_do_it_once(rest: Rest) -> None:
    answers = await asyncio.gather(
        *(
            rest.admin.post("/projects/demo/runs", json={"name": "x"}, headers=key("one"))
            for _ in range(20)
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(await rest.events()) == 1
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 19


async def test_a_key_belongs_to_caller_and_route(rest: Rest) -> None:
    await rest.project("other")
    first = await rest.admin.post("/projects/demo/runs", headers=key("k"))
    elsewhere = await rest.admin.post("/projects/other/runs", headers=key("k"))
    assert first.json()["project_id"] != elsewhere.json()["project_id"]
    mine = await rest.admin.post("/projects", json={"name": "a"}, headers=key("p"))
    person = rest.person("ann")
    theirs = await rest.admin.post("/projects", json={"name": "a"}, headers=key("p") | person)
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]


async def test_a_refused_change_leaves_no_key(rest: Rest) -> None:
    run = await rest.run()
    await rest.admin.patch(f"/runs/{run}", json={"status": "completed"})
    path, body = f"/runs/{run}/progress", {"stage": "idea", "message": "m"}
    assert (await rest.admin.post(path, json=body, headers=key("k"))).status_code == 409
    taken = await rest.admin.post("/projects", json={"name": "x", "slug": "demo"}, headers=key("k"))
    assert taken.status_code == 409
    await rest.admin.delete("/projects/demo")
    free = await rest.admin.post("/projects", json={"name": "x", "slug": "demo"}, headers=key("k"))
    assert free.status_code == 201


async def test_the_file_of_a_form_is_what_counts(rest: Rest) -> None:
    """Two forms with the same file differ by their boundary."""
    run = await rest.run()

    async def send(content: bytes) -> int:
        answer = await rest.admin.post(
            f"/runs/{run}/artifacts",
            data={"step_name": "zip"},
            files={"file": ("a.zip", content)},
            headers=key("k"),
        )
        return answer.status_code

    assert [await send(b"a"), await send(b"a"), await send(b"b")] == [201, 201, 422]
    listed = await rest.admin.get(f"/runs/{run}/artifacts?versions=all")
    assert listed.json()["total"] == 1
