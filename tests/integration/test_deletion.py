"""A secret that leaked leaves everything that we keep; who took it out is written down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis.asyncio

from tests.integration import whole
from tests.integration.whole import Whole

pytestmark = pytest.mark.anyio

SECRET = "sk-leaked-7f3a"


@pytest.fixture
async def served(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole.serving(database_url, redis_url, tmp_path) as found:
        await found.make("/projects", {"name": "demo"})
        yield found


async def everything_in_postgres(url: str) -> str:
    """All rows of all tables but the audit log, as text."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            """SELECT c.oid::regclass::text AS name FROM pg_class c
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'"""
        )
        found = []
        for table in tables:
            for row in await connection.fetch(f"SELECT t::text AS row FROM {table['name']} t"):
                text = row["row"]
                found.append(text)
                if "\\x" in text:
                    found += [
                        bytes.fromhex(part.split('"')[0].split(",")[0]).decode("latin-1")
                        for part in text.split("\\\\x")[1:]
                        if len(part.split('"')[0].split(",")[0]) % 2 == 0
                    ]
        return "\n".join(found)
    finally:
        await connection.close()


async def everything_in_redis(url: str) -> bytes:
    async with redis.asyncio.Redis.from_url(url) as client:
        dumps = [await client.dump(key) or b"" for key in await client.keys("*")]
    return b"\n".join(dumps)


def everything_in(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


async def leak(served: Whole, **run: Any) -> str:
    """A run whose second line, an artifact and kept answers hold the secret."""
    run_id = str((await served.make("/projects/demo/runs", run))["id"])
    path, once = f"/runs/{run_id}/logs", {"Idempotency-Key": f"k{run_id}"}
    await served.make(path, {"message": "before"})
    entry = {"message": f"key {SECRET}", "payload": {"key": SECRET}, "level": "info"}
    await served.client.post(path, json=entry, headers=served.admin | once)
    await served.make(path, {"message": "after"})
    return run_id


async def read_log(served: Whole, run: str) -> list[str]:
    found = await served.client.get(f"/runs/{run}/logs", headers=served.admin)
    return [entry["message"] for entry in found.json()["logs"]]


async def replayed(served: Whole, after: int = 0) -> bytes:
    """What the stream shows to whoever resumes there, up to its heartbeat."""
    path = f"/projects/demo/events?subscribe_logs=all&last_event_id={after}"
    head = int(
        (await served.client.get("/projects/demo", headers=served.admin)).headers["runcast-head"]
    )
    seen = b""
    async with served.client.stream("GET", path, headers=served.admin) as stream:
        async for piece in stream.aiter_bytes():
            seen += piece
            if f"id: {head}\n".encode() in seen:
                return seen
    return seen


async def test_redacted_lines_leave_everything(
    served: Whole, database_url: str, redis_url: str
) -> None:
    run = await leak(served)
    assert SECRET.encode() in await replayed(served)
    redacted = await served.make(f"/runs/{run}/logs/redact", {"from_line": 2, "to_line": 2})
    assert redacted == {"lines": 1}
    assert await read_log(served, run) == ["before", "[redacted]", "after"]
    seen = await replayed(served)
    assert SECRET.encode() not in seen
    assert b"event: log:redacted" in seen
    assert SECRET not in await everything_in_postgres(database_url)
    assert SECRET.encode() not in await everything_in_redis(redis_url)
    log = await served.client.get("/admin/audit?action=lines_redacted", headers=served.admin)
    [entry] = log.json()["entries"]
    assert (entry["subject"], entry["details"]) == (run, {"from_line": 2, "to_line": 2})
    assert entry["actor"].startswith("key:")


async def test_a_deleted_run_leaves_everything_and_no_hole(
    served: Whole, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    run = await leak(served, key="leaky", input={"key": SECRET})
    other = await leak(served)
    await served.make(f"/runs/{other}/logs/redact", {"from_line": 2, "to_line": 2})
    artifact = {"step_name": "idea", "content": {"key": SECRET}}
    await served.make(f"/runs/{run}/artifacts", artifact)
    big = SECRET.encode() * 200_000
    uploaded = await served.client.post(
        f"/runs/{run}/artifacts",
        data={"step_name": "big"},
        files={"file": ("f", big)},
        headers=served.admin,
    )
    assert uploaded.status_code == 201
    assert SECRET.encode() in everything_in(tmp_path / "artifacts")
    retried = await served.make(f"/runs/{run}/retry")
    await served.make(f"/runs/{retried['id']}", method="DELETE")
    dry = await served.make(f"/runs/{run}?dry_run=1", method="DELETE")
    assert (dry["lines"], dry["artifacts"], dry["deleted"]) == (3, 2, False)
    gone = await served.make(f"/runs/{run}", method="DELETE")
    assert gone["deleted"]
    for path in (f"/runs/{run}", f"/runs/{run}/logs", "/runs/leaky?project=demo"):
        assert (await served.client.get(path, headers=served.admin)).status_code == 404
    again = {"id": run}
    taken = await served.client.post("/projects/demo/runs", json=again, headers=served.admin)
    assert taken.status_code == 409
    assert SECRET not in await everything_in_postgres(database_url)
    assert SECRET.encode() not in await everything_in_redis(redis_url)
    assert SECRET.encode() not in everything_in(tmp_path / "artifacts")
    seen = await replayed(served)
    assert SECRET.encode() not in seen
    ids = [int(line[4:]) for line in seen.decode().splitlines() if line.startswith("id: ")]
    assert sorted(set(ids) - {0}) == list(range(1, max(ids) + 1))
    assert b"event: gap" not in seen


async def test_a_deleted_artifact_is_gone_and_its_version_not_given_again(served: Whole) -> None:
    run = (await served.make("/projects/demo/runs", {}))["id"]
    new = {"step_name": "idea", "content": "c"}
    first = await served.make(f"/runs/{run}/artifacts", new)
    second = await served.make(f"/runs/{run}/artifacts", new)
    await served.make(f"/artifacts/{first['id']}", method="DELETE")
    for path in (f"/artifacts/{first['id']}", f"/artifacts/{first['id']}/content"):
        assert (await served.client.get(path, headers=served.admin)).status_code == 404
    assert (await served.make(f"/runs/{run}/artifacts", new))["version"] == 3
    assert second["version"] == 2


async def test_a_deleted_person_comes_back_by_no_door(served: Whole) -> None:
    password = "correct horse battery"
    new = {"email": "ann@example.org", "name": "Ann", "password": password}
    user = await served.make("/admin/users", new)
    login = {"email": new["email"], "password": password}
    session = (await served.client.post("/auth/login", json=login)).json()["token"]
    headers = {"Authorization": f"Bearer {session}"}
    await served.client.post("/projects", json={"name": "own"}, headers=headers)
    path = f"/admin/users/{user['id']}"
    assert (await served.client.delete(path, headers=served.admin)).status_code == 409
    other = await served.make("/admin/users", {"email": "bob@example.org", "name": "Bob"})
    await served.make(f"/projects/own/members/{other['id']}", {"role": "owner"}, "PUT")
    await served.make(path, method="DELETE")
    assert (await served.client.get("/auth/me", headers=headers)).status_code == 401
    assert (await served.client.post("/auth/login", json=login)).status_code == 401
    listed = (await served.client.get("/admin/users", headers=served.admin)).json()
    assert user["id"] not in [each["id"] for each in listed["users"]]
    assert (await served.client.delete(path, headers=served.admin)).status_code == 404


async def test_bad_redactions_are_refused(served: Whole) -> None:
    run = (await served.make("/projects/demo/runs", {}))["id"]
    path = f"/runs/{run}/logs/redact"
    for body in (
        {"from_line": 2, "to_line": 1},
        {"from_line": 0, "to_line": 1},
        {"from_line": 1, "to_line": 10_001},
        {"from_line": 1},
        {"from_line": 1, "to_line": 1, "replacement": "\x00"},
    ):
        answer = await served.client.post(path, content=json.dumps(body), headers=served.admin)
        assert answer.status_code == 422, body
    assert await served.make(path, {"from_line": 1, "to_line": 10_000}) == {"lines": 0}


async def test_streams_that_are_open_are_told(served: Whole) -> None:
    run = await leak(served)
    path = "/projects/demo/events"
    async with served.client.stream("GET", path, headers=served.admin) as stream:
        lines = stream.aiter_lines()
        assert await anext(lines) == "event: connected"
        await served.make(f"/runs/{run}/logs/redact", {"from_line": 2, "to_line": 2})
        async with asyncio.timeout(30):
            while await anext(lines) != "event: log:redacted":
                pass
        told = json.loads((await anext(lines)).removeprefix("data: "))
    assert (told["run_id"], told["from_line"], told["to_line"]) == (run, 2, 2)
