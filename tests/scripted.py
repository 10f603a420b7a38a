"""A socket that says what it is told to, byte for byte: for what no well-behaved server does."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    line: str
    headers: dict[str, str]


Script = Callable[[socket.socket], None]


@dataclass
class Scripted:
    """Plays one script to each connection, in order; the last one again and again."""

    scripts: list[Script]
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def run(self, listener: socket.socket) -> None:
        players = []
        for number in itertools.count():
            try:
                connection, _ = listener.accept()
            except OSError:
                break
            script = self.scripts[min(number, len(self.scripts) - 1)]
            player = threading.Thread(target=self.play, args=(connection, script), daemon=True)
            player.start()
            players.append(player)
        for player in players:
            player.join(5)

    def play(self, connection: socket.socket, script: Script) -> None:
        with connection, contextlib.suppress(OSError):
            self.asked.append(read_request(connection))
            script(connection)
            connection.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def serve(*scripts: Script) -> Iterator[Scripted]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Scripted(list(scripts))
        made.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=made.run, args=(listener,), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            # Closing alone doesn't wake a thread that waits in accept().
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def read_request(connection: socket.socket) -> Asked:
    text = b""
    while b"\r\n\r\n" not in text and (more := connection.recv(65_536)):
        text += more
    first, *rest = text.split(b"\r\n\r\n")[0].decode().split("\r\n")
    pairs = (line.partition(":") for line in rest)
    return Asked(first, {name.lower(): value.strip() for name, _, value in pairs})


def says(*portions: bytes, pause: float = 0.0) -> Script:
    """These bytes as they are, each portion in a packet of its own if it can be had."""

    def play(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for portion in portions:
            connection.sendall(portion)
            time.sleep(pause)

    return play


def streams(*portions: bytes, pause: float = 0.0) -> Script:
    """An event stream, ended by closing the connection."""
    return says(STREAM_HEAD, *portions, pause=pause)


def answers(status: str, body: bytes = b"", *headers: str) -> Script:
    head = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close"]
    return says("\r\n".join(head).encode() + b"\r\n\r\n" + body)
