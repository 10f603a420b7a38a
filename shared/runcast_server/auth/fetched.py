"""JSON from an issuer of tokens: bounded in bytes and in seconds, however it is sent."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import httpx
import orjson

MOST_BYTES = 1024 * 1024


class Fetched(NamedTuple):
    """An answer's status and the JSON in it."""

    status: int
    value: Any


async def fetch(
    url: str, seconds: float, form: dict[str, str] | None = None, auth: Any = None
) -> Fetched:
    """GETs the URL, or POSTs a form to it. Raises `httpx.HTTPError`, `TimeoutError` where the whole answer
    isn't there in time, and `ValueError` for one that is too long or no JSON."""
    content = bytearray()
    async with (
        asyncio.timeout(seconds),
        httpx.AsyncClient(timeout=seconds, auth=auth) as client,
        client.stream("GET" if form is None else "POST", url, data=form) as answer,
    ):
        async for chunk in answer.aiter_bytes():
            content += chunk
            if len(content) > MOST_BYTES:
                raise ValueError(f"{url} answers more than {MOST_BYTES:,} bytes")
    return Fetched(answer.status_code, orjson.loads(bytes(content)))
