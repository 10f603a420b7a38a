"""Attacks on sentences of SECURITY.md that no other test makes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
import redis.asyncio

from runcast.contract import INGEST_STREAM
from runcast_api.accounts.argon2id import Hasher
from tests.integration import whole
from tests.integration.test_redis_users import as_user, users
from tests.integration.whole import Whole
from tests.waiting import until

pytestmark = pytest.mark.anyio

__all__ = ["users"]

_TEXTS = """
SELECT format('SELECT %L, count(*) FROM %I t WHERE t::text LIKE %L OR t::text LIKE %L',
              relname, relname, '%' || $1 || '%', '%' || $2 || '%')
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""


async def secrets_of_everybody(served: Whole) -> dict[str, str]:
    """One of each secret that is shown once."""
    await served.make("/projects", {"name": "alpha"})
    person = {"email": "ann@example.org", "name": "Ann", "password": "a password of ann's"}
    await served.make("/admin/users", person)
    login = {"email": person["email"], "password": person["password"]}
    session = await served.client.post("/auth/login", json=login)
    other = {"email": "bob@example.org", "name": "Bob"}
    link = (await served.make("/admin/users", other))["sign_in_link"]
    key = await served.make("/projects/alpha/keys", {"name": "k", "role": "owner"})
    share = await served.make("/projects/alpha/share-links", {})
    invitation = await served.make("/invitations", {"email": "eve@example.org"})
    ticket = await served.make("/projects/alpha/stream-tickets")
    return {
        "password": person["password"],
        "session": session.json()["token"],
        "sign-in link": link["token"],
        "key": key["token"],
        "share link": share["token"],
        "invitation": invitation["token"],
        "ticket": ticket["ticket"],
    }


async def test_a_copy_of_the_database_holds_no_secret(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with whole.serving(database_url, redis_url, tmp_path) as served:
        made = await secrets_of_everybody(served)
    connection = await asyncpg.connect(database_url)
    for name, secret in made.items():
        for [query] in await connection.fetch(_TEXTS, secret, secret.encode().hex()):
            table, number = await connection.fetchrow(query)
            assert number == 0, f"{table} holds the {name}"
    await connection.close()


async def test_no_lasting_token_is_taken_from_an_address(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Under whatever name; a share link is the only one that is, and its own name the only one for it."""
    async with whole.serving(database_url, redis_url, tmp_path) as served:
        made = await secrets_of_everybody(served)
        taken = []
        for secret in ("session", "key", "sign-in link", "invitation", "share link"):
            for name in ("token", "access_token", "api_key", "key", "ticket", "share", "auth"):
                for path in ("/projects/alpha", "/projects/alpha/events", "/auth/me"):
                    answer = await served.client.send(
                        served.client.build_request("GET", path, params={name: made[secret]}),
                        stream=True,
                    )
                    await answer.aclose()
                    if answer.status_code != 401:
                        taken.append((secret, name, path, answer.status_code))
        assert {each[:2] for each in taken} == {("share link", "share")}
        assert made["key"] not in str((await served.client.get("/openapi.json")).text)


async def test_a_forged_event_reaches_live_streams_and_nothing_that_is_stored(
    database_url: str, redis_url: str, users: redis.Redis, tmp_path: Path
) -> None:
    """By the API's own password of Redis, which is the one that may write the fan-out."""
    async with whole.serving(database_url, redis_url, tmp_path) as served:
        project = (await served.make("/projects", {"name": "alpha"}))["id"]
        run = (await served.make("/projects/alpha/runs", {}))["id"]
        before = (await served.make(f"/projects/{project}/events/history", method="GET"))["events"]
        async with as_user(redis_url, "api") as api:
            await api.xadd(f"runcast:{{{UUID(project)}}}:stream", {"forged": b"forged"}, id="999-0")
            await api.execute_command("SPUBLISH", f"runcast:{{{UUID(project)}}}:live", b"forged")
        await served.make(f"/runs/{run}/logs", {"message": "after"})
        page = await served.make(f"/projects/{project}/events/history", method="GET")
        assert "forged" not in json.dumps(page)
        assert len(page["events"]) == len(before) + 1


async def fill(worker: redis.asyncio.Redis) -> None:
    while True:
        await worker.xadd(INGEST_STREAM, {"m": b"x" * 200_000})


async def test_a_worker_that_fills_redis_stops_no_request(
    database_url: str, redis_url: str, users: redis.Redis, tmp_path: Path
) -> None:
    """What doesn't fit is refused; requests and streams go on from Postgres, and later by Redis."""
    async with whole.serving(database_url, redis_url, tmp_path) as served:
        await served.make("/projects", {"name": "alpha"})
        run = (await served.make("/projects/alpha/runs", {}))["id"]
        limit = users.config_get("maxmemory")["maxmemory"]
        users.config_set("maxmemory", users.info("memory")["used_memory"] + 1_000_000)
        try:
            path = f"/runs/{run}/stream"
            async with served.client.stream("GET", path, headers=served.admin) as stream:
                lines = stream.aiter_lines()
                await anext(lines)
                async with as_user(redis_url, "worker") as worker:
                    with pytest.raises(redis.exceptions.ResponseError, match="maxmemory"):
                        await fill(worker)
                await served.make(f"/runs/{run}/logs", {"message": "while it is full"})
                async with asyncio.timeout(30):
                    while "while it is full" not in await anext(lines):
                        pass
        finally:
            users.config_set("maxmemory", limit)

        async def is_ready() -> bool:
            answer = await served.client.get("/ready")
            return "redis" not in json.dumps(answer.json().get("degraded", {}))

        await until(is_ready)


async def test_no_answer_tells_whether_an_address_has_an_account(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Signing in, inviting and looking at an invitation: the same but for what is new by chance."""
    async with whole.serving(database_url, redis_url, tmp_path) as served:
        await secrets_of_everybody(served)
        told = []
        for address in ("ann@example.org", "nobody@example.org"):
            login = {"email": address, "password": "not the password"}
            signed = await served.client.post("/auth/login", json=login)
            invited = await served.client.post(
                "/invitations", json={"email": address}, headers=served.admin
            )
            shown = await served.client.get(f"/invitations/{invited.json()['token']}")
            told.append([describe(answer, address) for answer in (signed, invited, shown)])
        assert told[0] == told[1]


def describe(answer: httpx.Response, address: str) -> tuple[int, list[str], str]:
    """An answer without what is new by chance: its status, its members, and the words of a problem."""
    body = answer.json()
    return answer.status_code, sorted(body), str(body.get("detail", "")).replace(address, "")


async def test_a_webhooks_secret_is_told_once(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """When it is made and when it is rotated; no other answer holds it, and its owner's neither."""
    async with whole.serving(database_url, redis_url, tmp_path) as served:
        await served.make("/projects", {"name": "alpha"})
        hooks = "/projects/alpha/webhooks"
        once = served.admin | {"Idempotency-Key": "once"}

        async def twice(path: str, body: Any) -> Any:
            """The first answer; the second to the same key is the same without the secret."""
            first, again = [
                (await served.client.post(path, json=body, headers=once)).json() for _ in range(2)
            ]
            assert again == first | {"secret": None}
            return first

        made = await twice(hooks, {"url": "https://example.org/", "types": ["*"]})
        rotated = await twice(f"{hooks}/{made['id']}/rotate", {})
        secrets = (made["secret"], rotated["secret"])
        assert all(secret.startswith("whsec_") for secret in secrets)
        for path in (
            hooks,
            f"{hooks}/{made['id']}",
            f"{hooks}/{made['id']}/deliveries",
            "/projects/alpha",
            "/projects/alpha/events/history",
            "/projects/alpha/export?format=ndjson",
            "/admin/audit",
        ):
            answer = await served.client.get(path, headers=served.admin)
            assert answer.status_code == 200, (path, answer.text)
            assert not any(secret in answer.text for secret in secrets), path


async def test_time_does_not_tell_whether_an_address_has_an_account(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes time is hashing: each attempt to sign in, and each acceptance of an invitation that isn't
    confirmed, costs one check, whatever account there is."""
    checks: list[str] = []
    is_of = Hasher.is_of

    def noted(self: Hasher, stored: str, plain: str) -> bool:
        checks.append(stored.rpartition("$")[0].rpartition("$")[0])
        return is_of(self, stored, plain)

    monkeypatch.setattr(Hasher, "is_of", noted)
    async with whole.serving(database_url, redis_url, tmp_path, invitations="confirmed") as served:
        await secrets_of_everybody(served)
        owner = {"name": "o", "role": "owner"}
        key = (await served.make("/projects/alpha/keys", owner))["token"]
        checks.clear()
        costs = []
        for address in ("ann@example.org", "bob@example.org", "nobody@example.org"):
            login = {"email": address, "password": "not the password"}
            assert (await served.client.post("/auth/login", json=login)).status_code == 401
            body = {"email": address, "project": "alpha"}
            invited = await served.client.post(
                "/invitations", json=body, headers={"Authorization": f"Bearer {key}"}
            )
            path = f"/invitations/{invited.json()['token']}/accept"
            accepted = {"name": "x", "password": "not the password"}
            assert (await served.client.post(path, json=accepted)).status_code == 409
            costs.append(tuple(checks))
            checks.clear()
        assert len(costs[0]) == 2
        assert set(costs) == {costs[0]}, "the same number of checks, at the same costs"
