"""One SSE connection, read at the speed that a checker of millions of deliveries needs.

HTTP/1.1 with chunked encoding and frames that end in an empty line, exactly as the hub sends them; what
isn't so is an error. (A client of the product would use `runcast.client` or an `EventSource`.)
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import cast


class Refused(Exception):
    """Any answer but a stream. `status` is 0 where there was none."""

    def __init__(self, status: int, body: str = "") -> None:
        super().__init__(f"{status} {body[:200]}")
        self.status = status


class Stream(asyncio.Protocol):
    """Hands each block (a frame without its empty line) to `on_block`, and to `on_silence` from when to when
    nothing came; `ended` is set at the end."""

    def __init__(
        self,
        request: bytes,
        on_block: Callable[[bytes], None],
        on_silence: Callable[[float, float], None],
    ) -> None:
        self._request = request
        self._on_block = on_block
        self._on_silence = on_silence
        self._raw = b""
        self._rest = b""
        self._is_open = False
        self.is_abandoned = False
        self.transport: asyncio.Transport | None = None
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        self.heard_at = asyncio.get_running_loop().time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.is_abandoned:
            return
        now = asyncio.get_running_loop().time()
        self._on_silence(self.heard_at, now)
        self.heard_at = now
        self._raw = self._raw + data if self._raw else data
        if not self._is_open and not self._open():
            return
        pieces: list[bytes] = []
        raw, place = self._raw, 0
        while True:
            end = raw.find(b"\r\n", place)
            if end < 0:
                break
            size = int(raw[place:end], 16)
            if len(raw) < end + 2 + size + 2:
                break
            pieces.append(raw[end + 2 : end + 2 + size])
            place = end + 2 + size + 2
        self._raw = raw[place:]
        if pieces:
            *blocks, self._rest = b"".join((self._rest, *pieces)).split(b"\n\n")
            for block in blocks:
                self._on_block(block)

    def _open(self) -> bool:
        head, separator, rest = self._raw.partition(b"\r\n\r\n")
        if not separator:
            return False
        status = int(head.split(b" ", 2)[1])
        if status != 200 or b"text/event-stream" not in head:
            self._refuse(Refused(status, rest.decode("utf-8", "replace")))
            self.close()
            return False
        self._raw = rest
        self._is_open = True
        if not self.answered.done():
            self.answered.set_result(None)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self._refuse(Refused(0, str(error or "closed")))
        self.ended.set()

    def _refuse(self, refusal: Refused) -> None:
        if not self.answered.done():
            self.answered.set_exception(refusal)
            self.answered.exception()

    def close(self) -> None:
        """At once, with whatever was not read yet."""
        if self.transport is not None:
            self.transport.abort()

    def abandon(self) -> None:
        """Ends for its reader, who hears nothing of it any more, but not for the hub."""
        self.is_abandoned = True
        self.ended.set()

    def pause(self) -> None:
        """Stops reading: what the hub sends stays in the sockets."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()


async def open_stream(
    port: int,
    path: str,
    headers: Mapping[str, str],
    on_block: Callable[[bytes], None],
    on_silence: Callable[[float, float], None] = lambda *_: None,
    *,
    receive_buffer: int | None = None,
    seconds: float = 10.0,
) -> Stream:
    """An answered stream. Raises `Refused`."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Accept: text/event-stream"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    request = "\r\n".join([*lines, "", ""]).encode()
    stream = Stream(request, on_block, on_silence)
    loop = asyncio.get_running_loop()
    link = socket.socket()
    link.setblocking(False)
    if receive_buffer is not None:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        async with asyncio.timeout(seconds):
            await loop.sock_connect(link, ("127.0.0.1", port))
            await loop.create_connection(lambda: stream, sock=link)
            await stream.answered
    except BaseException as error:
        # Also when the reader is cancelled: a connection that is left would outlive its loop.
        stream.close()
        link.close()
        if isinstance(error, TimeoutError):
            raise Refused(0, "no answer in time") from None
        if isinstance(error, OSError):
            raise Refused(0, str(error)) from None
        raise
    return stream
