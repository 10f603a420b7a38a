"""A hub under errors of its backing services that aren't a lost connection: its loops go on afterwards."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx
import pytest

from runcast_server import db, db_sessions
from runcast_server.eventlog.bus import Keys
from tests.integration import streams
from tests.integration.streams import Served, stream
from tests.integration.test_slow_streams import counted
from tests.integration.test_stream_rights import change, key, opened
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def readiness(served: Served) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=served.url) as client:
        found: dict[str, Any] = (await client.get("/ready")).json()
        return found


async def test_locked_tables_delay_what_a_hub_does_and_end_none_of_it(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`VACUUM FULL`, a migration or a reindex locks a table for longer than our lock time-out."""
    monkeypatch.setattr(db_sessions, "SESSION", {**db_sessions.SESSION, "lock_timeout": "200ms"})
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        run_id = await served.run(project_id)
        token = await key(served, project_id)
        path = f"/projects/{project_id}/events"
        async with (
            opened(served, path, token) as revoked,
            stream(served, f"/runs/{run_id}/stream") as of_run,
            stream(served, path) as steady,
        ):
            await steady.until(lambda r: len(r.frames) >= 2)
            await of_run.until(lambda r: len(r.frames) >= 2)
            locker = await asyncpg.connect(database_url)
            try:
                async with locker.transaction():
                    await locker.execute("LOCK TABLE projects, api_keys, runs")

                    async def all_fail() -> bool:
                        return {"postgres", "revocation", "completing"} <= set(
                            (await readiness(served))["degraded"]
                        )

                    await until(all_fail, "every loop to meet the lock")
            finally:
                await locker.close()
            await change(served, "UPDATE api_keys SET revoked_at = now() WHERE name = 'k'")
            async with db.acquire(served.resources.database.log) as connection:
                await connection.execute(
                    "UPDATE runs SET status = 'completed', finished_at = now() WHERE id = $1",
                    run_id,
                )
            # Redis counts it as published, and its message reached nobody: only comparing finds it.
            keys = Keys.of(project_id)
            await served.emit(project_id)
            await steady.until(lambda r: r.ids == [1])
            await served.resources.bus.client.hset(keys.head, "seq", 2)
            await served.emit(project_id)
            await steady.until(lambda r: r.ids == [1, 2])
            await revoked.ended()
            assert revoked.frames[-1].data == {"reason": "revoked"}
            await of_run.ended()
            assert of_run.frames[-1].data == {"reason": "complete"}

            async def recovered() -> bool:
                found = await readiness(served)
                return found == {"status": "ready", "failing": {}, "degraded": {}}

            await until(recovered, "readiness without complaint")


async def test_what_no_hub_would_send_does_not_end_the_link(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        async with stream(served, f"/projects/{project_id}/events") as reader:
            await reader.until(lambda r: len(r.frames) >= 2)
            hub_id = reader.frames[0].data["connection_id"].partition(".")[0]
            redis = served.resources.bus.client
            for wrong in (
                b"not JSON",
                b"[]",
                b"{}",
                b'{"reply":1,"number":"0"}',
                b'{"number":"1"}',
            ):
                await redis.spublish(f"runcast:{{hub:{hub_id}}}:control", wrong)
            wrong_request = b'{"number":"1","from":"x","request":{}}'
            await redis.spublish(f"runcast:{{hub:{hub_id}}}:control", wrong_request)
            for wrong in (b"", b"x", b"b", b"b\x01\x00", b"h1", b"hx y"):
                await redis.spublish(Keys.of(project_id).live, wrong)
            reconnects = counted("runcast_hub_redis_reconnects_total")
            await served.emit(project_id)
            await reader.until(lambda r: r.ids == [1])
            assert counted("runcast_hub_redis_reconnects_total") == reconnects
            assert (await readiness(served))["degraded"] == {}
