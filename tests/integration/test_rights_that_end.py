"""Requests that go on for long, whose caller loses the right to them in the middle: what comes after is
neither taken nor sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest

from runcast_api.http import lasting
from runcast_server.errors import NotFound, Unauthenticated
from tests.integration import rest
from tests.integration.rest import Rest
from tests.integration.test_people import account, anonymous, bearer, ok
from tests.waiting import until

pytestmark = pytest.mark.anyio

Ending = Callable[[], Awaitable[None]]
LINES = 300
LARGE = 3 * 1024 * 1024


@pytest.fixture
async def api(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Rest]:
    monkeypatch.setattr(lasting, "LOOK_SECONDS", 0.0)
    async with rest.serving(database_url, redis_url, tmp_path, is_running=True) as served:
        await served.project()
        yield served


async def callers(api: Rest, role: str) -> list[tuple[dict[str, str], Ending]]:
    """A key that is revoked, and a person who is removed from the project: headers, and what ends them."""
    parts = api.service.app.state.api  # type: ignore[union-attr]
    key = await ok(
        await api.admin.post("/projects/demo/keys", json={"name": "k", "role": role}), 201
    )
    email = f"{role}{key['id']}@example.org"
    user, headers = await account(api, email)
    member = f"/projects/demo/members/{user}"
    await ok(await api.admin.put(member, json={"role": role}))

    async def end(path: str) -> None:
        await ok(await api.admin.delete(path), 204)
        # As after the seconds for which they remember.
        parts.authenticator.forget()
        parts.runs.forget()
        parts.workplaces._remembered.clear()

    return [
        (bearer(key["token"]), partial(end, f"/keys/{key['id']}")),
        (headers, partial(end, member)),
    ]


async def furnished(api: Rest) -> tuple[str, str]:
    """A run with a log and a large artifact."""
    run = await api.run()
    for _ in range(3):
        lines = [{"message": f"line {number} " + "x" * 100} for number in range(LINES)]
        await ok(await api.admin.post(f"/runs/{run}/logs", json=lines), 201)
    upload = {"file": ("f.bin", b"x" * LARGE, "application/octet-stream")}
    form = {"step_name": "idea"}
    kept = await api.admin.post(f"/runs/{run}/artifacts", data=form, files=upload)
    return run, (await ok(kept, 201))["id"]


READS = (
    ("/runs/{run}/logs", "text/plain"),
    ("/runs/{run}/logs", "application/x-ndjson"),
    ("/runs/{run}/logs/search?q=line", ""),
    ("/runs/{run}/export", ""),
    ("/runs/{run}/export?format=zip", ""),
    ("/projects/demo/export", ""),
    ("/artifacts/{artifact}/content", ""),
)


async def test_an_answer_is_cut_off_where_its_reader_may_read_no_longer(api: Rest) -> None:
    run, artifact = await furnished(api)
    for path, accept in READS:
        for headers, end in await callers(api, "viewer"):
            asked = path.format(run=run, artifact=artifact)
            sent = await answer(api, asked, headers | {"accept": accept}, end)
            assert sent[0]["status"] == 200, (path, sent[0])
            assert sent[-1].get("more_body"), (path, "it was sent to its end")
    reader, _ = (await callers(api, "viewer"))[0]
    whole = await answer(api, f"/runs/{run}/export", reader, None)
    assert not whole[-1].get("more_body"), "who keeps the right gets all of it"


async def answer(
    api: Rest, path: str, headers: dict[str, str], end: Ending | None
) -> list[dict[str, Any]]:
    """What the application sends, where `end` comes behind the first piece of the body."""
    path, _, query = path.partition("?")
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        is_first = message.get("body") and not any(one.get("body") for one in sent)
        sent.append(message)
        if is_first and end is not None:
            await end()

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    app: Any = api.service.app
    sent_headers = [(n.lower().encode(), v.encode()) for n, v in headers.items() if v]
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1",
        "method": "GET", "scheme": "http", "path": path, "raw_path": path.encode(),
        "query_string": query.encode(), "root_path": "", "server": ("localhost", 80),
        "client": ("127.0.0.1", 1), "headers": sent_headers,
    }  # fmt: skip
    try:
        await app(scope, receive, send)
    except (Unauthenticated, NotFound):
        assert end is not None
    return sent


FORM = b"\r\n".join(
    [
        b"--b",
        b'Content-Disposition: form-data; name="step_name"',
        b"",
        b"stolen",
        b"--b",
        b'Content-Disposition: form-data; name="file"; filename="f"',
        b"Content-Type: text/plain",
        b"",
        b"the first half",
    ]
)
LINE = orjson.dumps({"message": "before"}) + b"\n"
WRITES = (
    ("/runs/{run}/logs", "application/x-ndjson", (LINE, LINE)),
    ("/runs/{run}/logs", "application/json", (b'[{"message":', b'"after"}]')),
    ("/runs/{run}/artifacts", "multipart/form-data; boundary=b", (FORM, b" and more\r\n--b--\r\n")),
    ("/runs/{run}/artifacts", "application/json", (b'{"step_name":"a",', b'"content":1}')),
    ("/projects/demo/subtasks/claim", "application/json", (b'{"worker_id"', b':"w"}')),
    ("/v1/logs?project=demo", "application/json", (b'{"resourceLogs":', b"[]}")),
)


async def test_a_body_is_refused_where_its_sender_may_send_no_longer(api: Rest) -> None:
    run = await api.run()
    task = await ok(
        await api.admin.post(
            "/projects/demo/tasks", json={"title": "t", "subtasks": [{"title": "s"}]}
        ),
        201,
    )
    await ok(await api.admin.post(f"/tasks/{task['id']}/activate"))
    for path, media_type, (first, second) in WRITES:
        for headers, end in await callers(api, "reporter"):

            async def body(end: Ending = end, parts: tuple[bytes, bytes] = (first, second)) -> Any:
                yield parts[0]
                await end()
                yield parts[1]

            refused = await anonymous(api).post(
                path.format(run=run), content=body(), headers=headers | {"content-type": media_type}
            )
            assert refused.status_code in (401, 403, 404), (path, media_type, refused.text)
    shown = await ok(await api.admin.get(f"/runs/{run}"))
    assert shown["last_line_number"] == 0
    assert (await ok(await api.admin.get(f"/runs/{run}/artifacts")))["total"] == 0
    [subtask] = (await ok(await api.admin.get(f"/tasks/{task['id']}")))["subtasks"]
    assert subtask["status"] == "PENDING"


async def person(api: Rest) -> dict[str, str]:
    """The headers of someone who reports to the project, by a session."""
    user, headers = await account(api, "ann@example.org")
    await ok(await api.admin.put(f"/projects/demo/members/{user}", json={"role": "reporter"}))
    return headers


async def refreshed(api: Rest, headers: dict[str, str]) -> dict[str, str]:
    made = await ok(await anonymous(api).post("/auth/refresh", headers=headers))
    return bearer(made["token"])


async def test_a_refresh_cuts_no_upload_and_the_sessions_end_does(api: Rest) -> None:
    run, headers = await api.run(), await person(api)
    for ends in (False, True):
        fresh: dict[str, str] = {}

        async def body(old: dict[str, str], fresh: dict[str, str], ends: bool) -> Any:
            yield LINE
            fresh |= await refreshed(api, old)
            if ends:
                await ok(await anonymous(api).post("/auth/logout", headers=fresh), 204)
            yield LINE

        sent = headers | {"content-type": "application/x-ndjson"}
        answered = await anonymous(api).post(
            f"/runs/{run}/logs", content=body(headers, fresh, ends), headers=sent
        )
        assert answered.status_code == (401 if ends else 201), answered.text
        headers = fresh


async def test_a_refresh_cuts_no_waiting_and_no_answer(api: Rest) -> None:
    run, headers = await api.run(status="running"), await person(api)
    parts = api.service.app.state.api  # type: ignore[union-attr]
    new = {"kind": "text", "title": "which way?"}
    path = f"/questions/{(await ok(await api.admin.post(f'/runs/{run}/questions', json=new), 201))['id']}"
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(anonymous(api).get(f"{path}?wait_s=50", headers=headers))
        await until(lambda: parts.waiters._waiting)
        fresh = await refreshed(api, headers)
        await ok(await api.admin.post(f"{path}/answer", json={"text": "left"}))
    assert (await ok(waiting.result()))["state"] == "answered"
    caller = await parts.authenticator.principal(fresh["Authorization"].partition(" ")[2])
    # As one who began to read before the refresh.
    before = replace(caller, expires_at=datetime.now(UTC))
    project = (await ok(await api.admin.get("/projects/demo")))["id"]
    await lasting.reader(parts.database, before, UUID(project))()
    await ok(await anonymous(api).post("/auth/logout", headers=fresh), 204)
    with pytest.raises(Unauthenticated):
        await lasting.reader(parts.database, before, UUID(project))()


async def test_who_waits_for_an_answer_gets_none_after_their_right_has_ended(api: Rest) -> None:
    run = await api.run(status="running")
    waiters = api.service.app.state.api.waiters  # type: ignore[union-attr]
    for headers, end in await callers(api, "reporter"):
        new = {"kind": "text", "title": "the launch code?"}
        asked = await ok(await api.admin.post(f"/runs/{run}/questions", json=new), 201)
        path = f"/questions/{asked['id']}"

        async def wait(path: str = path, headers: dict[str, str] = headers) -> httpx.Response:
            return await anonymous(api).get(f"{path}?wait_s=50", headers=headers)

        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(wait())
            await until(lambda: waiters._waiting)
            await end()
            await ok(await api.admin.post(f"{path}/answer", json={"text": "0000"}))
        assert waiting.result().status_code in (401, 404), waiting.result().text
