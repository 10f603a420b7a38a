"""A proxy that cuts connections when it is told to."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Cutting:
    """Passes bytes both ways, until `cut`. `url` takes the place of the server's."""

    def __init__(self, listener: socket.socket, server_url: str) -> None:
        host, _, port = server_url.removeprefix("http://").partition(":")
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.connections = 0
        self._server = (host, int(port))
        self._listener = listener
        self._open: list[socket.socket] = []

    def run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(self._server)
            self._open += [client, server]
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=pass_on, args=(source, target), daemon=True).start()

    def cut(self) -> None:
        """Ends every connection that is open, in the middle of whatever it says."""
        while self._open:
            each = self._open.pop()
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def cutting(server_url: str) -> Iterator[Cutting]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Cutting(listener, server_url)
        thread = threading.Thread(target=made.run, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            made.cut()
