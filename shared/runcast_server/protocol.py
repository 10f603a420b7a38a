"""uvicorn's HTTP protocol, keeping less for a socket that is full.

A transport asks its writer to pause when more than its high-water mark is unsent; asyncio's default of
64 KiB would let a stalled stream hold a whole further chunk. With this mark a client that doesn't read
costs the process about one chunk: 145 KiB fell to 97 KiB for each of 2,000 stalled clients
(`python -m bench.stalled`), and bursts to healthy ones are as fast as before (`python -m bench.fanout`).
"""

import asyncio

from runcast_server.heads import BoundedHeads

UNSENT_BYTES = 16 * 1024


class Protocol(BoundedHeads):
    """Sets the high-water mark of each connection."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=UNSENT_BYTES)
