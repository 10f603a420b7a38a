"""Stands between an editor and its agent: passes every byte on, both ways, and listens.

Nothing that listens holds up what is passed on: it has a thread of its own, and what waits for it is bounded.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from runcast.cli import relay
from runcast.cli.relay import Flow

LOOK_SECONDS = 0.2
WAITING_BYTES = 128 * 1024 * 1024
"""What may wait to be recorded; of what comes beyond it only the number of bytes is."""
LINE_BYTES = 16 * 1024 * 1024
"""A longer message is passed on, and not read."""
DECISION_BYTES = 64 * 1024
"""No response to a request for a permission is longer."""
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Json = dict[str, Any]


@dataclass(eq=False)
class Lines:
    """Messages out of bytes, one a line. `left_out` counts the bytes of messages that are too long."""

    left_out: int = 0
    _partial: bytearray = field(default_factory=bytearray)
    _is_too_long: bool = False

    def feed(self, data: bytes) -> Iterator[Any]:
        """The messages that are whole now; what is no JSON is none."""
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._keep(line)
            if not self._is_too_long and self._partial.strip():
                with contextlib.suppress(orjson.JSONDecodeError):
                    yield orjson.loads(self._partial)
            self._partial.clear()
            self._is_too_long = False
        self._keep(rest)

    def _keep(self, data: bytes) -> None:
        if self._is_too_long or len(self._partial) + len(data) > LINE_BYTES:
            self.left_out += len(data) + len(self._partial)
            self._partial.clear()
            self._is_too_long = True
        else:
            self._partial += data


class Listener:
    """Tells what passes, in its order, in a thread of its own."""

    def __init__(self, hear: Callable[[bool, bytes], None]) -> None:
        """`hear` is told whether it was the agent, and the bytes."""
        self._hear = hear
        self._waiting: queue.SimpleQueue[tuple[bool, bytes] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._bytes = 0
        self.left_out = 0
        self._thread = threading.Thread(target=self._run, name="runcast-acp", daemon=True)
        self._thread.start()

    def tell(self, is_agent: bool, data: bytes) -> None:
        with self._lock:
            if self._bytes + len(data) > WAITING_BYTES:
                self.left_out += len(data)
                return
            self._bytes += len(data)
        self._waiting.put((is_agent, data))

    def finish(self) -> None:
        """Waits until everything that passed was heard."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            self._hear(*item)
            with self._lock:
                self._bytes -= len(item[1])


@dataclass(eq=False)
class Answering(Flow):
    """The way from the editor to the agent, into which answers of other people are put between two messages.

    Only used where people may answer: messages pass whole. The first response to a request counts, and the
    editor's later one is dropped, once; nothing else that the editor says is.
    """

    _line: bytearray = field(default_factory=bytearray)
    _is_passing: bool = False
    """The beginning of a message has been passed on, its end has not."""
    _waiting: bytearray = field(default_factory=bytearray)
    """Answers that wait for the end of that message."""
    _ours: deque[Any] = field(default_factory=lambda: deque(maxlen=1_000))
    """Requests that other people answered, of which the editor's response is still to come."""
    _theirs: deque[Any] = field(default_factory=lambda: deque(maxlen=1_000))
    """Requests that the editor answered."""

    def read(self) -> None:
        data = self._taken()
        if data is None:
            return
        if not data:
            self._held += self._line
            self._line.clear()
            self.close()
            return
        for piece in _pieces(data):
            self._pass(piece)
        if self._held:
            self.write()

    def answer(self, response: Json) -> None:
        """Answers a request in the editor's place, unless the editor was faster."""
        request = response["id"]
        if request in self._ours or request in self._theirs or not self.is_open:
            return
        self._ours.append(request)
        self._waiting += orjson.dumps(response) + b"\n"
        self._put()
        if self._held:
            self.write()

    def _put(self) -> None:
        """Puts answers between two messages."""
        if self._waiting and not self._is_passing:
            said = bytes(self._waiting)
            self._waiting.clear()
            self._held += said
            self.heard(said)

    def _pass(self, piece: bytes) -> None:
        self._line += piece
        is_whole = piece.endswith(b"\n")
        if not is_whole and not self._is_passing and len(self._line) <= DECISION_BYTES:
            return
        line = bytes(self._line)
        self._line.clear()
        if not self._is_passing and is_whole and self._is_late(line):
            return
        self._is_passing = not is_whole
        self._held += line
        self.heard(line)
        self._put()

    def _is_late(self, line: bytes) -> bool:
        """Whether this is a response to a request that was answered already; notes one that is the first."""
        if b'"result"' not in line and b'"error"' not in line:
            return False
        try:
            message = orjson.loads(line)
            request = message["id"]
        except (orjson.JSONDecodeError, LookupError, TypeError):
            return False
        if "method" in message:
            return False
        if request in self._ours:
            self._ours.remove(request)
            return True
        self._theirs.append(request)
        return False


def _pieces(data: bytes) -> Iterator[bytes]:
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        yield data[start : end + 1]
        start = end + 1
    if start < len(data):
        yield data[start:]


class Tee:
    """An agent's process between our stdin and stdout. Raises `OSError` where it can't be started."""

    def __init__(self, command: Sequence[str], listener: Listener, *, answers: bool) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        inlet = self._process.stdin.fileno()
        os.set_blocking(inlet, False)
        make = Answering if answers else Flow
        self._to_agent = make(0, inlet, lambda data: listener.tell(False, data), keeps_inlet=True)
        # A copy, which is closed when the editor is gone: the agent meets what it would meet alone.
        outlet = os.dup(self._process.stdout.fileno())
        self._process.stdout.close()
        self._to_editor = Flow(outlet, 1, lambda data: listener.tell(True, data))
        self._answers: deque[Json] = deque()
        self._woken, self._wake = os.pipe()

    def answer(self, response: Json) -> None:
        """Answers a request of the agent, from any thread."""
        self._answers.append(response)
        with contextlib.suppress(OSError):
            os.write(self._wake, b".")

    def run(self) -> int:
        """Passes everything on until the agent has ended; its exit code, as a shell tells it."""
        with self._signals():
            while self._is_under_way():
                ready = relay.step([self._to_agent, self._to_editor], LOOK_SECONDS, self._woken)
                if self._woken in ready:
                    os.read(self._woken, 4_096)
                self._put_answers()
                self._close_when_said()
            code = self._process.wait()
        return 128 - code if code < 0 else code

    def _is_under_way(self) -> bool:
        if self._to_editor.is_open:
            return True
        return not self._to_editor.is_flushed or self._process.poll() is None

    def _put_answers(self) -> None:
        while self._answers and isinstance(self._to_agent, Answering):
            self._to_agent.answer(self._answers.popleft())

    def _close_when_said(self) -> None:
        """The editor has closed its end: the agent hears of that when it has everything."""
        flow = self._to_agent
        if not flow.is_open and flow.is_flushed and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.stdin = None

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """What is sent to us is meant for the agent."""
        before = {
            number: signal.signal(number, lambda got, _: self._process.send_signal(got))
            for number in PASSED_ON
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._woken)
            os.close(self._wake)
