"""The publishers of the SDK write the same messages, one blocking, the other for asyncio."""

from typing import Any

import orjson
import pytest
import redis.asyncio as redis

from runcast.publisher import AsyncPublisher, Publisher

pytestmark = pytest.mark.anyio

RUN = "01a1f94d-287c-779b-bb7d-f56e512a6ff7"


async def read(url: str) -> list[dict[str, Any]]:
    """The messages of the ingest stream, without the id that makes each one count once."""
    async with redis.from_url(url) as connection:
        entries = await connection.xrange("runcast:ingest")
        await connection.delete("runcast:ingest")
    messages = [orjson.loads(fields[b"m"]) for _, fields in entries]
    assert all(message.pop("id") for message in messages)
    return messages


async def test_both_publishers_write_the_same_messages(redis_url: str) -> None:
    async with AsyncPublisher(redis_url, project="demo", streams=1) as publish:
        entry = await publish.started(RUN, name="n")
        assert "-" in entry
        await publish.log(RUN, "hello", ts="2026-01-01T00:00:00Z")
        await publish.completed(RUN, result={"a": 1})
    awaited = await read(redis_url)
    with Publisher(redis_url, project="demo", streams=1) as blocking:
        blocking.started(RUN, name="n")
        blocking.log(RUN, "hello", ts="2026-01-01T00:00:00Z")
        blocking.completed(RUN, result={"a": 1})
    assert await read(redis_url) == awaited
    assert [message["type"] for message in awaited] == [
        "agent:started",
        "agent:log",
        "agent:completed",
    ]
    assert {message["project"] for message in awaited} == {"demo"}
