"""The usual FastAPI server of event streams: sse-starlette, a queue for each client, Redis pub/sub.

One subscription to Redis serves all clients of the process, which is kinder to it than one each.
"""

import asyncio
import contextlib
import os
from collections import defaultdict
from collections.abc import AsyncIterator

from fastapi import FastAPI
from redis.asyncio import Redis
from sse_starlette import EventSourceResponse

HEARTBEAT_SECONDS = int(os.environ["HEARTBEAT_SECONDS"])


class Broadcast:
    """What Redis publishes, to the queues of those who asked for its channel."""

    def __init__(self) -> None:
        self.queues: defaultdict[str, set[asyncio.Queue[str]]] = defaultdict(set)

    async def run(self) -> None:
        async with Redis.from_url(os.environ["REDIS_URL"]).pubsub() as subscription:
            await subscription.psubscribe("c*")
            async for message in subscription.listen():
                if message["type"] == "pmessage":
                    for queue in self.queues[message["channel"].decode()]:
                        queue.put_nowait(message["data"].decode())


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.broadcast = Broadcast()
    task = asyncio.create_task(app.state.broadcast.run())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/events")
async def events(channels: str) -> EventSourceResponse:
    names = [f"c{channel}" for channel in channels.split(",")]
    return EventSourceResponse(stream(app.state.broadcast, names), ping=HEARTBEAT_SECONDS)


async def stream(broadcast: Broadcast, names: list[str]) -> AsyncIterator[dict[str, str]]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    for name in names:
        broadcast.queues[name].add(queue)
    try:
        number = 0
        while True:
            number += 1
            yield {"id": str(number), "data": await queue.get()}
    finally:
        for name in names:
            broadcast.queues[name].discard(queue)
