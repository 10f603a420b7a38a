"""Who may hold a stream open, and how a stream ends when that right ends."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from runcast._support.ids import uuid7
from runcast_hub import revocation
from runcast_server.auth import principal, tickets
from runcast_server.auth.principal import Principal, hash_token, new_token
from runcast_server.db import acquire
from tests.integration import rows, streams
from tests.integration.streams import Reader, Served, stream

pytestmark = pytest.mark.anyio

REVOKED_SECONDS = 5.0


async def member(served: Served, project_id: UUID, role: str = "viewer") -> tuple[UUID, str]:
    """Somebody who signed in and belongs to the project: his id and his session's token."""
    user_id, token = uuid7(), new_token(principal.SESSION_PREFIX)
    async with served.resources.database.changing(rows.ADMIN) as connection:
        await connection.execute("INSERT INTO users (id, name) VALUES ($1, 'somebody')", user_id)
        await connection.execute(
            "INSERT INTO project_members (project_id, user_id, role) VALUES ($1, $2, $3)",
            project_id,
            user_id,
            role,
        )
        await connection.execute(
            """INSERT INTO sessions (id, user_id, token_hash, method, expires_at)
               VALUES ($1, $2, $3, 'password', $4)""",
            uuid7(),
            user_id,
            hash_token(token),
            datetime.now(UTC) + timedelta(hours=1),
        )
    return user_id, token


async def key(served: Served, project_id: UUID, expires_at: datetime | None = None) -> str:
    token = new_token()
    async with served.resources.database.changing(rows.ADMIN) as connection:
        await connection.execute(
            """INSERT INTO api_keys (id, token_hash, name, project_id, role, expires_at)
               VALUES ($1, $2, 'k', $3, 'viewer', $4)""",
            uuid7(),
            hash_token(token),
            project_id,
            expires_at,
        )
    return token


async def share_link(served: Served, project_id: UUID, run_id: UUID | None = None) -> str:
    token = new_token(principal.SHARE_PREFIX)
    async with served.resources.database.changing(rows.ADMIN) as connection:
        await connection.execute(
            "INSERT INTO share_links (id, token_hash, project_id, run_id) VALUES ($1, $2, $3, $4)",
            uuid7(),
            hash_token(token),
            project_id,
            run_id,
        )
    return token


async def change(served: Served, statement: str, *arguments: Any) -> None:
    async with served.resources.database.changing(rows.ADMIN) as connection:
        await connection.execute(statement, *arguments)


@contextlib.asynccontextmanager
async def opened(served: Served, path: str, token: str) -> AsyncIterator[Reader]:
    async with stream(served, path, token=token) as reader:
        await reader.until(lambda r: len(r.frames) >= 2)
        yield reader


async def ends_as(reader: Reader, reason: str) -> None:
    await reader.ended()
    assert reader.frames[-1].event == "bye"
    assert reader.frames[-1].data == {"reason": reason}
    assert revocation.LOOK_SECONDS * 2 < REVOKED_SECONDS, "a look and the one that was just missed"


async def test_streams_end_on_every_hub_when_their_right_ends(
    database_url: str, redis_url: str
) -> None:
    async with (
        streams.hub(database_url, redis_url) as first,
        streams.hub(database_url, redis_url) as second,
    ):
        project_id = await first.project()
        path = f"/projects/{project_id}/events"
        removed, removeds = await member(first, project_id, "owner")
        _, stays = await member(first, project_id, "owner")
        _, signed_out = await member(first, project_id)
        disabled, disableds = await member(first, project_id)
        revoked = await key(first, project_id)
        link = await share_link(first, project_id)
        async with (
            opened(first, path, removeds) as one,
            opened(second, path, removeds) as two,
            opened(second, path, signed_out) as three,
            opened(first, path, disableds) as four,
            opened(first, path, revoked) as five,
            opened(second, path, link) as six,
            opened(first, path, stays) as steady,
        ):
            await change(first, "DELETE FROM project_members WHERE user_id = $1", removed)
            async with acquire(first.resources.database.requests) as connection:
                found = await connection.fetchrow(
                    "SELECT * FROM session_holder($1)", hash_token(signed_out)
                )
                key_row = await connection.fetchrow(
                    "SELECT * FROM key_holder($1)", hash_token(revoked)
                )
                link_row = await connection.fetchrow(
                    "SELECT * FROM share_link_holder($1)", hash_token(link)
                )
            await change(first, "UPDATE sessions SET revoked_at = now() WHERE id = $1", found["id"])
            await change(first, "UPDATE users SET disabled_at = now() WHERE id = $1", disabled)
            await change(
                first, "UPDATE api_keys SET revoked_at = now() WHERE id = $1", key_row["id"]
            )
            await change(
                first, "UPDATE share_links SET revoked_at = now() WHERE id = $1", link_row["id"]
            )
            for reader in (one, two, three, four, five, six):
                await ends_as(reader, "revoked")
            await first.emit(project_id)
            await steady.until(lambda r: r.ids == [1])


async def test_a_stream_ends_with_its_token(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        soon = datetime.now(UTC) + timedelta(seconds=2)
        token = await key(served, project_id, soon)
        async with opened(served, f"/projects/{project_id}/events", token) as reader:
            await ends_as(reader, "token_expired")


async def test_a_share_link_to_a_run_shows_that_run_alone(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project("demo")
        mine, other = await served.run(project_id), await served.run(project_id)
        link = await share_link(served, project_id, mine)
        for path, status in (
            (f"/projects/{project_id}/events", 403),
            ("/projects/demo/events", 404),
            (f"/runs/{other}/stream", 404),
        ):
            assert (await streams.refused(served, path, token=link))[0] == status
        async with stream(served, f"/runs/{mine}/stream?share={link}", token="") as reader:
            await reader.until(lambda r: len(r.frames) >= 2)
            shown = [run["id"] for run in reader.frames[0].data["active_runs"]]
            assert shown == [str(mine)]


async def test_share_links_have_a_limit_of_their_own(database_url: str, redis_url: str) -> None:
    limits = {"sse_max_connections_per_share_link": 1}
    async with (
        streams.hub(database_url, redis_url, **limits) as first,
        streams.hub(database_url, redis_url, **limits) as second,
    ):
        project_id = await first.project()
        path = f"/projects/{project_id}/events"
        link = await share_link(first, project_id)
        async with opened(first, path, link):
            status, problem = await streams.refused(second, path, token=link)
            assert (status, problem["type"]) == (429, "urn:runcast:problem:limit-reached")


async def issue(served: Served, caller: Principal, project_id: UUID) -> str:
    async with served.resources.database.changing(caller) as connection:
        ticket, _ = await tickets.issue(connection, caller, project_id)
    return ticket


async def test_a_ticket_opens_one_stream_and_its_cookie_the_same_again(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id, other_id = await served.project(), await served.project()
        user_id, _ = await member(served, project_id)
        person = Principal(name=f"user:{user_id}", user_id=user_id)
        ticket = await issue(served, person, project_id)
        path = f"/projects/{project_id}/events?ticket={ticket}"
        elsewhere = f"/projects/{other_id}/events?ticket={ticket}"
        async with httpx.AsyncClient(base_url=served.url) as browser:
            async with browser.stream("GET", path) as answer:
                assert answer.status_code == 200
                cookie = answer.headers["set-cookie"]
            assert f"Path=/projects/{project_id}/events;" in cookie
            assert "HttpOnly; SameSite=Strict" in cookie
            async with browser.stream("GET", path) as again:
                assert again.status_code == 200
                assert "set-cookie" not in again.headers
            assert (await browser.get(elsewhere)).status_code == 401
        async with httpx.AsyncClient(base_url=served.url) as thief:
            assert (await thief.get(path)).status_code == 401


async def test_a_ticket_is_good_for_its_project_only(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id, other_id = await served.project(), await served.project()
        ticket = await issue(served, rows.ADMIN, project_id)
        status, _ = await streams.refused(
            served, f"/projects/{other_id}/events?ticket={ticket}", token=""
        )
        assert status in (401, 404)


async def test_a_ticket_of_a_revoked_session_opens_nothing(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        user_id, token = await member(served, project_id)
        async with acquire(served.resources.database.requests) as connection:
            row = await connection.fetchrow("SELECT * FROM session_holder($1)", hash_token(token))
        person = Principal(name=f"user:{user_id}", user_id=user_id, session_id=row["id"])
        ticket = await issue(served, person, project_id)
        await change(served, "UPDATE sessions SET revoked_at = now() WHERE id = $1", row["id"])
        path = f"/projects/{project_id}/events?ticket={ticket}"
        assert (await streams.refused(served, path, token=""))[0] == 401


async def test_the_consoles_cookie_opens_streams_for_its_own_pages_only(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        _, token = await member(served, project_id)
        path = f"/projects/{project_id}/events"
        port = served.url.rpartition(":")[2]
        cookies = {f"runcast_session_{port}": token}
        async with httpx.AsyncClient(base_url=served.url, cookies=cookies) as browser:
            async with browser.stream("GET", path) as own:
                assert own.status_code == 200
            for headers in ({"Origin": "http://evil.test"}, {"Sec-Fetch-Site": "cross-site"}):
                assert (await browser.get(path, headers=headers)).status_code == 401
