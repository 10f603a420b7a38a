"""Follows a stream with aiohttp-sse-client, and goes on where it was: URL TOKEN."""

import asyncio
import contextlib
import json
import sys

import aiohttp
from aiohttp_sse_client.client import EventSource


async def follow(url: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    while True:
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            async with EventSource(url, headers=headers) as source:
                async for event in source:
                    if event.last_event_id:
                        headers["Last-Event-ID"] = event.last_event_id
                    if event.type == "agent:log":
                        sys.stdout.write(
                            f"{event.last_event_id} {json.loads(event.data)['line']}\n"
                        )
                        sys.stdout.flush()
        await asyncio.sleep(0.1)


asyncio.run(follow(*sys.argv[1:]))
