"""Readers of a stream that behave like an `EventSource`, by bare sockets: hundreds cost little."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit


class Readers:
    """Streams by bare sockets; those that end open again at once, from where they were."""

    def __init__(self, url: str, path: str, headers: dict[str, str]) -> None:
        self.positions: list[list[int]] = []
        self.refused = 0
        """Attempts to connect that were."""
        self.other_answers: list[bytes] = []
        """Status lines at which an `EventSource` would give up."""
        self.opened = 0
        self._url, self._path, self._headers = urlsplit(url), path, headers

    async def read(self) -> None:
        ids: list[int] = []
        self.positions.append(ids)
        while True:
            try:
                reader, writer = await asyncio.open_connection(self._url.hostname, self._url.port)
            except OSError:
                self.refused += 1
                await asyncio.sleep(0.05)
                continue
            try:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    await self._follow(ids, reader, writer)
            finally:
                writer.transport.abort()

    async def _follow(
        self, ids: list[int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        headers = {
            **self._headers,
            "Host": "localhost",
            "Last-Event-ID": str(ids[-1] if ids else 0),
            # Otherwise the end of a stream needn't be the end of its connection.
            "Connection": "close",
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"GET {self._path} HTTP/1.1\r\n{head}\r\n".encode())
        status = await reader.readuntil(b"\r\n")
        if b" 200 " not in status:
            self.other_answers.append(status)
            return
        self.opened += 1
        number = 0
        while line := await reader.readline():
            if line.startswith(b"id: "):
                number = int(line[4:])
            elif line.startswith(b"event: run:progress") and number:
                ids.append(number)


@contextlib.asynccontextmanager
async def reading(readers: Readers, number: int) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(readers.read()) for _ in range(number)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
