"""A server that is killed while it sends: what it sends comes at least once, under one id; none is lost."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import jwt
import pytest
from tests.integration.notified import EVERYTHING, SETTINGS, ntfy
from tests.integration.receivers import receiving
from tests.processes import Up
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(200)]

SECRET = "a secret of at least thirty-two bytes"
QUESTION = {"kind": "permission", "title": "Bash"}
LEASES_END = (
    "UPDATE webhook_deliveries SET next_at = now(), sending_until = NULL WHERE state = 'pending'",
    "UPDATE notifications SET next_at = now(), sending_until = NULL WHERE state = 'waiting'",
)


@pytest.fixture
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="runcast-test-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


async def test_what_was_on_its_way_comes_again_and_what_was_not_comes_once(
    directory: Path, database_url: str, redis_url: str
) -> None:
    urls = ("--database-url", database_url, "--redis-url", redis_url)
    up = Up.at(directory, *urls, RUNCAST_JWT_SECRET=SECRET)
    token = jwt.encode({"sub": "ana"}, SECRET, algorithm="HS256")
    person = {"Authorization": f"Bearer {token}"}
    async with ntfy() as phone, receiving() as bot:
        # They take what comes, and never say so.
        phone.receiver.always = bot.always = 0
        try:
            await asyncio.to_thread(up.start_ready)
            async with httpx.AsyncClient(base_url=up.url, headers=up.headers, timeout=60) as client:
                await client.post("/projects", json={"name": "p", "slug": "p"})
                hook = {"url": bot.url, "types": ["question:asked"]}
                assert (await client.post("/projects/p/webhooks", json=hook)).status_code == 201
                me = (await client.get("/auth/me", headers=person)).json()["id"]
                await client.put(f"/projects/p/members/{me}", json={"role": "editor"})
                rule = {"when": EVERYTHING, "after_s": 0, "to": ["phone"]}
                body = {"rules": [rule], "targets": [phone.target()]}
                answer = await client.put(SETTINGS, json=body, headers=person)
                assert answer.status_code == 200, answer.text
                run = (await client.post("/projects/p/runs", json={})).json()["id"]
                first = (await client.post(f"/runs/{run}/questions", json=QUESTION)).json()["id"]
                await until(lambda: phone.receiver.got and bot.got, "the first of both")
                second = (await client.post(f"/runs/{run}/questions", json=QUESTION)).json()["id"]
            up.kill()  # delivered, but not noted; committed, but perhaps not sent
            phone.receiver.always = bot.always = 200
            connection = await asyncpg.connect(database_url)
            for statement in LEASES_END:
                await connection.execute(statement)
            await connection.close()
            before = len(phone.published), len(bot.got)
            await asyncio.to_thread(up.start_ready)
            questions = {first, second}
            await until(lambda: len(phone.published) >= before[0] + 2, "both on the phone")
            await until(lambda: len(bot.got) >= before[1] + 2, "both at the webhook")
            assert len(phone.shown) == len(questions), "what came twice took its own place"
            assert {got.headers["webhook-id"] for got in bot.got[: before[1]]} <= {
                got.headers["webhook-id"] for got in bot.got[before[1] :]
            }
            assert len({got.headers["webhook-id"] for got in bot.got}) == len(questions)
        finally:
            up.cleanup()
