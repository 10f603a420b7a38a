"""Stands between an editor and its agent: passes every byte on, both ways, and listens.

Nothing that listens holds up what is passed on: it has a thread of its own, and what waits for it is bounded.
"""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from runcast.agents.acp import Permission, request_of
from runcast.cli import relay
from runcast.cli.acp_answers import Answering
from runcast.cli.acp_lines import Lines
from runcast.cli.passed_signals import PassedSignals
from runcast.cli.relay import Flow

LOOK_SECONDS = 0.2
WAITING_BYTES = 128 * 1024 * 1024
"""What may wait to be recorded; of what comes beyond it only the number of bytes is."""

Json = dict[str, Any]


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


class Tee:
    """An agent's process between our stdin and stdout. Raises `OSError` where it can't be started."""

    def __init__(
        self, command: Sequence[str], listener: Listener, signals: PassedSignals, *, answers: bool
    ) -> None:
        """`signals` are meant for the agent."""
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
        self._listener = listener
        self._requests = Lines(having=(b'"id"', b'"method"'))
        self._to_editor = Flow(outlet, 1, self._hear_agent)
        self._answers: deque[tuple[Json, Permission]] = deque()
        self._woken, self._wake = os.pipe()
        self._is_over = False
        self._lock = threading.Lock()
        signals.give_to(self._process.send_signal)

    def answer(self, response: Json, permission: Permission) -> None:
        """Answers a request of the agent, from any thread."""
        self._answers.append((response, permission))
        with self._lock:
            if not self._is_over:
                os.write(self._wake, b".")

    def run(self) -> int:
        """Passes everything on until the agent has ended; its exit code, as a shell tells it."""
        try:
            while self._is_under_way():
                ready = relay.step([self._to_agent, self._to_editor], LOOK_SECONDS, self._woken)
                if self._woken in ready:
                    os.read(self._woken, 4_096)
                self._put_answers()
                self._close_when_said()
            code = self._process.wait()
        finally:
            self._stop_answering()
        return 128 - code if code < 0 else code

    def _hear_agent(self, data: bytes) -> None:
        """Before anyone can answer it, a request is known to be a new one."""
        if isinstance(self._to_agent, Answering):
            for message in self._requests.feed(data):
                if (asked := request_of(message)) is not None:
                    self._to_agent.asked(*asked)
        self._listener.tell(True, data)

    def _is_under_way(self) -> bool:
        if self._to_editor.is_open:
            return True
        return not self._to_editor.is_flushed or self._process.poll() is None

    def _put_answers(self) -> None:
        while self._answers and isinstance(self._to_agent, Answering):
            self._to_agent.answer(*self._answers.popleft())

    def _close_when_said(self) -> None:
        """The editor has closed its end: the agent hears of that when it has everything."""
        flow = self._to_agent
        if not flow.is_open and flow.is_flushed and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.stdin = None

    def _stop_answering(self) -> None:
        """From here on the descriptors' numbers may be those of other files."""
        with self._lock:
            self._is_over = True
            os.close(self._woken)
            os.close(self._wake)
