"""Who leads the ingest stream: one, whoever was stopped and woke up."""

import asyncpg
import pytest

from runcast.contract import INGEST_STREAM
from runcast_api.ingest import ingester, metrics
from runcast_api.ingest.leader_hint import LEADER_LOCKS
from runcast_server.db import acquire
from tests.integration import ingesting
from tests.waiting import until

pytestmark = pytest.mark.anyio

_HELD = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def test_who_leads_for_a_holder_that_stood_still_gets_the_lock_when_it_is_given_back(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A holder that woke up, was fenced and gave it back would find it free again otherwise."""
    monkeypatch.setattr(ingester, "STILL_SECONDS", 0.1)
    async with ingesting.opened(database_url, redis_url) as ingest:
        run_id = await ingest.run(await ingest.project())
        stopped = await asyncpg.connect(database_url)
        try:
            await stopped.execute("SELECT pg_advisory_lock($1)", LEADER_LOCKS[INGEST_STREAM])
            await ingest.send(
                {"type": "agent:log", "run_id": str(run_id), "data": {"message": "m"}}
            )
            async with ingest.running() as leader:
                await until(lambda: leader.is_leading, "another to lead")
                await stopped.execute("SELECT pg_advisory_unlock($1)", LEADER_LOCKS[INGEST_STREAM])

                async def is_held() -> bool:
                    return bool(await stopped.fetchval(_HELD, LEADER_LOCKS[INGEST_STREAM]))

                await until(is_held, "the lock to be taken")
                assert leader.is_leading
        finally:
            await stopped.close()


async def test_a_leader_without_messages_notices_that_the_cursor_was_moved(
    database_url: str, redis_url: str
) -> None:
    async with ingesting.opened(database_url, redis_url) as ingest:
        run_id = await ingest.run(await ingest.project())
        message = {"type": "agent:log", "run_id": str(run_id), "data": {"message": "m"}}
        async with ingest.running() as leader:
            await ingest.send(message)
            await until(lambda: ingest.lines(run_id), "a line")
            before = metrics.FENCED._value.get()
            async with acquire(ingest.database.log) as connection:
                await connection.execute(
                    "UPDATE ingest_cursor SET stream_epoch = stream_epoch + 1 WHERE stream = $1",
                    INGEST_STREAM,
                )
            await until(lambda: metrics.FENCED._value.get() > before, "it to step back")
            await ingest.send(message)
            await until(lambda: leader.is_leading, "it to lead again")

            async def has_both() -> bool:
                return len(await ingest.lines(run_id)) == 2

            await until(has_both, "the second line")
