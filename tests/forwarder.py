"""A TCP address in front of servers, like a name or a balancer that is switched at a failover: what connects
after the switch reaches the new server, what was connected stays where it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from runcast_server import tasks


class Forwarder:
    """Forwards each connection to the port that is the target when it's made."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self._open: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with contextlib.suppress(OSError):
                to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.target)
                try:
                    await asyncio.gather(_copy(reader, to_writer), _copy(to_reader, writer))
                finally:
                    to_writer.close()
        finally:
            writer.close()
            self._open.discard(task)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def forwarding(target: int) -> AsyncIterator[Forwarder]:
    forwarder = Forwarder(target)
    server = await asyncio.start_server(forwarder._serve, "127.0.0.1", 0)
    forwarder.port = server.sockets[0].getsockname()[1]
    try:
        yield forwarder
    finally:
        server.close()
        await tasks.end(*forwarder._open)
