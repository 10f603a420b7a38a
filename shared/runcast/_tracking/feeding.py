"""What a run with a server needs.

Imported when the first such run begins: the HTTP client is two thirds of what the SDK loads, and a program
without a server starts without it.
"""

import asyncio

from runcast import errors
from runcast._recording.recorder import Recorder
from runcast._support.server_config import Connection
from runcast._upload.feed import Feed
from runcast._upload.feeder import Feeder, feeders
from runcast.asking import WAIT_SECONDS, Answer, Waiting, wait
from runcast.client.clients import AsyncClient, Client
from runcast.client.exchange import ONCE

REQUEST_SECONDS = 10.0


def feed(
    recorder: Recorder, server: Connection, heartbeat_seconds: float | None
) -> tuple[Feeder, Feed]:
    """Begins to feed a run to a server."""
    spool = recorder.spool
    made = Feed(recorder.directory, lambda: spool.overflow, heartbeat_seconds=heartbeat_seconds)
    feeder = feeders.of(server, _connect)
    feeder.add(made)
    return feeder, made


def answer(server: Connection, waiting: Waiting) -> Answer:
    """Waits for the answer to a question (`asking.wait`)."""
    seconds = WAIT_SECONDS + 10.0
    with Client(server.url, server.token, timeout_seconds=seconds, patience=ONCE) as client:
        return wait(client, waiting)


async def answer_async(server: Connection, waiting: Waiting) -> Answer:
    """The same for an event loop."""
    seconds = WAIT_SECONDS + 10.0
    where = (server.url, server.token)
    async with AsyncClient(*where, timeout_seconds=seconds, patience=ONCE) as client:
        while waiting.answer is None:
            await asyncio.sleep(waiting.pause_seconds)
            try:
                shown = await client.get_question(waiting.question_id, wait_s=WAIT_SECONDS)
            except errors.RuncastError as error:
                waiting.failed(error)
            else:
                waiting.shown(shown)
        return waiting.answer


def _connect(server: Connection) -> Client:
    return Client(server.url, server.token, timeout_seconds=REQUEST_SECONDS)
