"""What must not get through a stream: frames made of others' text, and lines of others' projects."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import orjson
import pytest

from tests.integration.rest import serving
from tests.integration.streams import hub, refused, stream

pytestmark = pytest.mark.anyio

FORGED = "id: 99999\nevent: gap\ndata: {}\n\n"
TEXTS = [
    f"x\n\n{FORGED}",
    f"x\r\n\r\n{FORGED}",
    f"x\r\r{FORGED}",
    f"\u2028\u2029\x85\x0b\x0c\n\n{FORGED}",
    "\ufeff\x00\x1b[2J \ud7ff\U0010ffff",
    '"}\n\ndata: {"a":"',
]


async def test_text_of_a_line_stays_inside_its_frame(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with (
        hub(database_url, redis_url) as served,
        serving(database_url, redis_url, tmp_path) as rest,
    ):
        project_id = await rest.project()
        run = await rest.run(status="running")
        path = f"/projects/{project_id}/events?subscribe_logs=all&last_event_id=0"
        for text in TEXTS:
            body = {"message": text, "agent_name": text[:40], "payload": {text: text}}
            added = await rest.admin.post(f"/runs/{run}/logs", json=body)
            assert added.status_code in (201, 422), added.text
            made = await rest.admin.post(
                f"/runs/{run}/artifacts", json={"step_name": text[:60], "content": text}
            )
            assert made.status_code in (201, 422), made.text
        last = int((await rest.admin.get(f"/runs/{run}")).headers["Runcast-Head"])
        async with stream(served, path) as reader:
            await reader.until(lambda r: last in r.ids)
    assert reader.ids == list(range(1, last + 1))
    assert {frame.event for frame in reader.frames} <= {
        "", "connected", "run:created", "agent:started", "agent:log", "artifact:created",
    }  # fmt: skip
    assert all(frame.raw.count(b"\n") <= 4 and b"\r" not in frame.raw for frame in reader.frames)
    lines = [frame.data["line"] for frame in reader.of("agent:log")]
    kept = [text.replace("\0", "\u2400") for text in TEXTS]
    assert set(lines) <= {*TEXTS, *kept}
    assert len(lines) >= len(TEXTS) - 1


@pytest.mark.parametrize(
    "name",
    ["x:a\nid: 7", "x:a\r\ndata: {}", "x:", "x:\u2028", "x:" + "a" * 200, "gap", "connected"],
)
async def test_a_name_that_would_break_a_frame_is_no_event(
    database_url: str, redis_url: str, tmp_path: Path, name: str
) -> None:
    async with (
        hub(database_url, redis_url) as served,
        serving(database_url, redis_url, tmp_path, is_running=True) as rest,
    ):
        project_id = await rest.project()
        run = await rest.run(status="running")
        path = f"/projects/{project_id}/events"
        async with stream(served, path) as reader:
            for kind in (name, "x:good"):
                message = {"type": kind, "run_id": run, "data": {"n": 1}}
                await rest.resources.bus.client.xadd("runcast:ingest", {"m": json.dumps(message)})
            await reader.until(lambda r: bool(r.of("x:good")))
    assert [f.event for f in reader.frames if f.event.startswith("x:")] == ["x:good"]
    assert not reader.of("gap")


async def test_lines_of_another_project_s_run_are_not_to_be_had(
    database_url: str, redis_url: str
) -> None:
    async with hub(database_url, redis_url) as served:
        mine, theirs = await served.project(), await served.project()
        my_run, their_run = await served.run(mine), await served.run(theirs)
        await served.lines(theirs, their_run, 5)
        path = f"/projects/{mine}/events?subscribe_logs={my_run},{their_run}&log_tail=10"
        async with stream(served, path) as reader:
            await served.lines(theirs, their_run, 5)
            await served.lines(mine, my_run, 3)
            await reader.until(lambda r: len(r.ids) == 3)
            assert {f.data["run_id"] for f in reader.of("agent:log")} == {str(my_run)}
            backfilled = {f.data["run_id"]: f.data["to_line"] for f in reader.of("backfill")}
            assert backfilled.get(str(their_run)) is None


@pytest.mark.parametrize(
    "query",
    [
        "last_event_id=1%0d%0aX-Evil:%20yes",
        "last_event_id=1%0aid:%207",
        "last_event_id=%00",
        "log_tail=1%0d%0a",
        "subscribe_logs=%0d%0a%0d%0adata:%20x",
        "on_lag=skip%0a",
    ],
)
async def test_line_ends_in_parameters_are_refused(
    database_url: str, redis_url: str, query: str
) -> None:
    async with hub(database_url, redis_url) as served:
        project_id = await served.project()
        status, problem = await refused(served, f"/projects/{project_id}/events?{query}")
        assert status == 422
        assert orjson.dumps(problem)


async def test_a_parameter_that_streams_do_not_have_is_named(
    database_url: str, redis_url: str
) -> None:
    async with hub(database_url, redis_url) as served:
        project_id = await served.project()
        path = f"/projects/{project_id}/events"
        status, problem = await refused(served, f"{path}?subscribe_log=all")
        assert status == 422
        assert "did you mean 'subscribe_logs'?" in problem["detail"]
        admin = {"Authorization": f"Bearer {served.admin_key}"}
        async with httpx.AsyncClient(base_url=served.url, headers=admin) as client:
            for method, where in (
                ("GET", "/connections"),
                ("GET", "/admin/connections"),
                ("DELETE", "/connections/x"),
            ):
                answer = await client.request(method, f"{where}?user=me")
                assert answer.status_code == 422, where
                assert answer.json()["errors"][0]["field"] == "query.user"


async def test_head_of_a_stream_says_what_opening_it_would(
    database_url: str, redis_url: str
) -> None:
    async with hub(database_url, redis_url) as served:
        path = f"/projects/{await served.project()}/events"
        admin = {"Authorization": f"Bearer {served.admin_key}"}
        async with httpx.AsyncClient(base_url=served.url) as client:
            head = await client.head(path, headers=admin)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-type"].startswith("text/event-stream")
            assert head.headers["runcast-head"].isdigit()
            assert (await client.head(path)).status_code == 401
            listed = await client.head("/connections", headers=admin)
            assert (listed.status_code, listed.content) == (200, b"")
            assert (await client.get("/connections", headers=admin)).json()["connections"] == []
