"""Publishing over one kept connection, pipelined in bursts: Python shouldn't be what limits anybody."""

import re
import socket
from collections.abc import Callable, Iterable

IN_FLIGHT = 64
TIMEOUT_SECONDS = 60.0

_STATUS = re.compile(rb"HTTP/1\.1 (\d\d\d)")
_STATUS_BYTES = 12

Render = Callable[[int, str], bytes]
"""The bytes of the request that publishes a payload on a channel."""


class Refused(Exception):
    """The contender answered a publication with an error."""


class HttpPublisher:
    """Publishes by HTTP requests that `render` writes."""

    def __init__(self, port: int, render: Render) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._render = render
        self._unanswered = 0
        self._tail = b""

    def publish(self, channel: int, payload: str) -> None:
        self._send(self._render(channel, payload), at_most=0)

    def burst(self, channel: int, payloads: Iterable[str]) -> None:
        for payload in payloads:
            self._send(self._render(channel, payload), at_most=IN_FLIGHT)
        self._settle(0)

    def _send(self, request: bytes, *, at_most: int) -> None:
        self._socket.sendall(request)
        self._unanswered += 1
        self._settle(at_most)

    def _settle(self, at_most: int) -> None:
        while self._unanswered > at_most:
            received = self._socket.recv(65536)
            if not received:
                raise Refused("the contender closed the publisher's connection")
            text = self._tail + received
            end = 0
            for match in _STATUS.finditer(text):
                if not match[1].startswith(b"2"):
                    raise Refused(
                        text[match.start() : match.start() + 300].decode(errors="replace")
                    )
                self._unanswered -= 1
                end = match.end()
            self._tail = text[max(end, len(text) - _STATUS_BYTES + 1) :]


def post(port: int, path: str, body: bytes, *headers: str) -> bytes:
    """A POST request."""
    head = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, *headers, "", ""]).encode() + body


class LinePublisher:
    """Publishes as lines of "channel payload" on a plain connection; nothing is answered."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def publish(self, channel: int, payload: str) -> None:
        self._socket.sendall(f"{channel} {payload}\n".encode())

    def burst(self, channel: int, payloads: Iterable[str]) -> None:
        for payload in payloads:
            self.publish(channel, payload)
