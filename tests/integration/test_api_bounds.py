"""What callers may make the API hold: bodies before they have signed in, and searches."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from runcast_api.http import body_intake, nesting
from runcast_api.ingest import messages
from runcast_api.ingest.messages import Refused
from runcast_api.logs import query, search_turns
from tests.integration.rest import Rest, listening, serving
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        yield rest


MANY = b"[" + b"[]," * nesting.MOST + b"[]]"
"""300 KB that take as long to read as hundreds of ordinary bodies."""


async def test_arrays_without_number_are_refused_before_they_are_made(rest: Rest) -> None:
    """By every entrance that reads JSON; what was stored as a file is served, and not read."""
    await rest.project()
    run = await rest.run(status="running")
    bodies = (
        ("/projects/demo/runs", b'{"input":%b}'),
        ("/projects/demo/runs/bulk", b'{"items":%b}'),
        (f"/runs/{run}/artifacts", b'{"step_name":"s","content":%b}'),
        (f"/runs/{run}/logs", b'{"message":"m","payload":%b}'),
        ("/agents/claude/hooks", b'{"session_id":"s","hook_event_name":"Stop","x":%b}'),
        ("/v1/logs", b'{"resourceLogs":[],"x":[%b,%b,%b,%b]}'),
    )
    for path, body in bodies:
        answer = await rest.admin.post(
            path,
            params={"project": "demo"} if path.startswith(("/agents", "/v1")) else None,
            content=body.replace(b"%b", MANY),
            headers={"Content-Type": "application/json"},
        )
        assert (answer.status_code, "arrays and objects" in answer.text) == (400, True), path
    numbers = b'{"items":[%b0]}' % (b"0," * (nesting.MOST_VALUES + 1))
    many = await rest.admin.post("/projects/demo/runs/bulk", content=numbers)
    assert (many.status_code, "values" in many.text) == (400, True)
    lines = await rest.admin.post(
        f"/runs/{run}/logs",
        content=b'{"message":"m"}\n{"message":"m","payload":%b}\n' % MANY,
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert (lines.status_code, "arrays and objects" in lines.text) == (400, True)
    with pytest.raises(Refused, match="arrays and objects"):
        messages.parse(b'{"type":"x:a","key":"k","project":"demo","data":{"a":%b}}' % MANY)
    file = {"file": ("table.json", MANY, "application/json")}
    kept = await rest.admin.post(f"/runs/{run}/artifacts", data={"step_name": "table"}, files=file)
    assert kept.status_code == 201, kept.text
    shown = (await rest.admin.get(f"/runs/{run}")).json()["artifacts"]
    assert [each["content"] for each in shown] == [None]
    content = await rest.admin.get(f"/artifacts/{kept.json()['id']}/content")
    assert content.content == MANY


async def test_the_holder_of_a_link_sends_no_large_body(rest: Rest) -> None:
    await rest.project()
    made = (await rest.admin.post("/projects/demo/share-links", json={})).json()
    headers = {"Authorization": f"Bearer {made['token']}"}
    for path in ("/projects/demo/runs", "/projects/demo/runs/bulk"):
        answer = await rest.admin.post(path, content=b" " * 5_000, headers=headers)
        assert answer.status_code == 413, path


class Slow:
    """A client that sends a head and some of its body, and then nothing."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def posting(
        cls,
        url: str,
        length: int,
        size: int = 1,
        token: str = "",
        path: str = "/projects",
        media_type: str = "application/json",
        sent: bytes = b"",
    ) -> Slow:
        port = int(url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
        head += f"Content-Type: {media_type}\r\n"
        head += f"Authorization: {token}\r\n" if token else ""
        writer.write(f"{head}\r\n".encode() + sent.ljust(size))
        return cls(reader, writer)

    async def status(self) -> int:
        async with asyncio.timeout(30):
            found = int((await self._reader.readline()).split()[1])
        self._writer.close()
        return found


async def test_a_large_body_without_a_token_is_refused_before_it_is_read(rest: Rest) -> None:
    async with listening(rest) as url:
        for token in ("", "Bearer rc_no_such_key"):
            client = await Slow.posting(url, 1024 * 1024, token=token)
            assert await client.status() == 401


async def test_bodies_that_do_not_keep_coming_are_given_up(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_intake, "GRACE_SECONDS", 4.0)
    token = str(rest.admin.headers["Authorization"])
    async with listening(rest) as url:
        signed_in = await Slow.posting(url, 1024 * 1024, size=100, token=token)
        anonymous = [
            await Slow.posting(url, 4000) for _ in range(2 * body_intake.ANONYMOUS_AT_ONCE)
        ]
        statuses = sorted(await asyncio.gather(*(one.status() for one in anonymous)))
        assert set(statuses) == {408, 429}
        # On a busy machine some come when the first have been given up already.
        assert statuses.count(408) >= body_intake.ANONYMOUS_AT_ONCE
        assert await signed_in.status() == 408
        again = await Slow.posting(url, 3, size=3)
        assert await again.status() in (401, 422)


async def test_an_upload_that_does_not_keep_coming_is_given_up(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However fast it began: what was sent at once earns no pause without end."""
    monkeypatch.setattr(body_intake, "GRACE_SECONDS", 1.0)
    monkeypatch.setattr(body_intake, "LONGEST_PAUSE_SECONDS", 1.0)
    await rest.project()
    run = await rest.run()
    token = str(rest.admin.headers["Authorization"])
    begun = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
    kinds = {
        "logs": ("application/x-ndjson", b""),
        "artifacts": ("multipart/form-data; boundary=b", begun),
    }
    async with listening(rest) as url:
        slow = [
            await Slow.posting(url, 50_000_000, 100_000, token, f"/runs/{run}/{kind}", *body)
            for kind, body in kinds.items()
        ]
        assert [await each.status() for each in slow] == [408, 408]


async def test_a_database_that_became_read_only_is_unavailable(
    rest: Rest, database_url: str
) -> None:
    """What a client of a primary that was demoted meets."""
    await rest.project()
    owner = await asyncpg.connect(database_url)
    name = await owner.fetchval("SELECT current_database()")
    try:
        await owner.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await rest.resources.database.requests.expire_connections()
        await rest.resources.database.log.expire_connections()
        refused = await rest.admin.post("/projects/demo/runs", json={})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
        assert "read-only" in (await rest.service.ready()).failing["postgres"]
        await owner.execute("SET default_transaction_read_only = off")
        await owner.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")

        async def is_taken() -> bool:
            return (await rest.admin.post("/projects/demo/runs", json={})).status_code == 201

        await until(is_taken, "the connections that met it to be replaced")
    finally:
        await owner.close()


async def test_searches_leave_connections_to_everyone_else(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller has a few searches at once, and no search takes the connections of requests."""
    await rest.project()
    run = await rest.run()
    await rest.admin.post(f"/runs/{run}/logs", json=[{"message": "a" * 400}] * 400)
    expression = r"^(a+)+(a+)+(a+)+b$"

    async def search() -> int:
        path = f"/runs/{run}/logs/search"
        found = await rest.admin.get(path, params={"q": expression, "regex": True}, timeout=60)
        return found.status_code

    searches = [asyncio.create_task(search()) for _ in range(12)]
    while not any(task.done() for task in searches):
        assert (await rest.admin.get("/projects")).status_code == 200
        await asyncio.sleep(0.05)
    statuses = await asyncio.gather(*searches)
    assert set(statuses) == {200, 429}
    assert statuses.count(200) <= 2 * search_turns.SEARCHES_PER_CALLER


async def test_one_thread_looks_through_lines_whoever_asks(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filters of pages, of downloads and searches together: more threads would only fight for the lock that
    the event loop needs too."""
    await rest.project()
    run = await rest.run()
    assert (await rest.admin.post(f"/runs/{run}/logs", json=[{"message": "x"}] * 50)).is_success
    at_work = most = 0
    matching, lock = query._matching, threading.Lock()

    def watched(*arguments: Any) -> Any:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        found = matching(*arguments)
        time.sleep(0.02)  # long enough that others would be seen beside it
        with lock:
            at_work -= 1
        return found

    monkeypatch.setattr(query, "_matching", watched)
    text = {"Accept": "text/plain"}
    path = f"/runs/{run}/logs"
    asked = [
        *(rest.admin.get(path, params={"q": "x", "regex": True}) for _ in range(4)),
        *(rest.admin.get(path, params={"level": "info"}) for _ in range(2)),
        *(rest.admin.get(path, params={"q": "x"}, headers=text) for _ in range(2)),
        *(rest.admin.get(f"{path}/search", params={"q": "x"}) for _ in range(2)),
    ]
    assert [answer.status_code for answer in await asyncio.gather(*asked)] == [200] * len(asked)
    assert most == 1
