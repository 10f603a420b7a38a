"""A fork finds no thread of ours in the middle of opening a connection."""

import http.server
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from runcast import Client
from runcast._support.fork_safety import LONGEST_WAIT_SECONDS, NoFork, no_fork

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@pytest.fixture
def server() -> Iterator[str]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def forked() -> float:
    """Seconds that a fork took."""
    began = time.monotonic()
    child = os.fork()
    if not child:
        os._exit(0)
    took = time.monotonic() - began
    os.waitpid(child, 0)
    return took


def in_a_thread(*events: str) -> None:
    def told() -> None:
        for event in events:
            no_fork.trace(event, {})

    thread = threading.Thread(target=told)
    thread.start()
    thread.join()


def test_a_client_tells_when_it_opens_a_connection(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    trace = no_fork.trace
    monkeypatch.setattr(
        no_fork, "trace", lambda event, info: told.append(event) or trace(event, info)
    )
    with Client(server, "token") as client:
        client.get_run("one")
    assert "connection.connect_tcp.started" in told
    assert "connection.connect_tcp.complete" in told


def test_a_fork_waits_until_a_connection_is_open() -> None:
    fresh = threading.Event()

    def connect() -> None:
        no_fork.trace("connection.connect_tcp.started", {})
        fresh.set()
        time.sleep(LONGEST_WAIT_SECONDS / 5)
        no_fork.trace("connection.connect_tcp.complete", {})

    thread = threading.Thread(target=connect)
    thread.start()
    fresh.wait()
    began = time.monotonic()
    child = os.fork()
    if not child:
        os._exit(len(no_fork._since))
    waited = time.monotonic() - began
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert waited >= LONGEST_WAIT_SECONDS / 5


def test_a_child_can_look_up_addresses_whenever_it_was_forked() -> None:
    """Nobody as a host has two addresses, for which glibc takes the lock that a child would inherit."""
    ended = threading.Event()

    def connect_again_and_again() -> None:
        while not ended.is_set():
            look_up()

    thread = threading.Thread(target=connect_again_and_again)
    thread.start()
    try:
        for _ in range(100):
            child = os.fork()
            if not child:
                look_up()
                os._exit(0)
            assert has_exited(child)
    finally:
        ended.set()
        thread.join()


def look_up() -> None:
    no_fork.trace("connection.connect_tcp.started", {})
    socket.getaddrinfo(None, 80, type=socket.SOCK_STREAM)
    no_fork.trace("connection.connect_tcp.complete", {})


def has_exited(child: int) -> bool:
    deadline = time.monotonic() + 10
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(0.0005)
    return True


def test_a_server_that_does_not_answer_holds_no_fork_for_long() -> None:
    in_a_thread("connection.connect_tcp.started")
    try:
        waited = forked()
        assert waited >= LONGEST_WAIT_SECONDS / 2
        assert forked() < waited, "only once"
    finally:
        no_fork._since.clear()


def test_a_child_may_fork_again() -> None:
    child = os.fork()
    if not child:
        forked()
        os._exit(0)
    assert has_exited(child)


def test_a_connection_that_failed_is_over() -> None:
    one = NoFork()
    one.trace("connection.connect_tcp.started", {})
    one.trace("connection.connect_tcp.failed", {})
    one.trace("connection.start_tls.started", {})
    assert len(one._since) == 1
    one.trace("connection.start_tls.failed", {})
    assert not one._since
