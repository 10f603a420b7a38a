"""Answers of other people, put between an editor's messages to its agent."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from runcast.agents.acp import Permission, RequestId
from runcast.cli.relay import Flow

DECISION_BYTES = 64 * 1024
"""No response to a request for a permission is longer."""
MOST_REQUESTS = 1_000
"""Requests that are remembered."""

Json = dict[str, Any]


@dataclass(eq=False)
class Answering(Flow):
    """The way from the editor to the agent.

    Only used where people may answer: messages pass whole. The first response to a request counts, and the
    editor's later one is dropped, once; nothing else that the editor says is.
    """

    _line: bytearray = field(default_factory=bytearray)
    _is_passing: bool = False
    """The beginning of a message has been passed on, its end has not."""
    _waiting: bytearray = field(default_factory=bytearray)
    """Answers that wait for the end of that message."""
    _ours: deque[Any] = field(default_factory=lambda: deque(maxlen=MOST_REQUESTS))
    """Requests that other people answered, of which the editor's response is still to come."""
    _theirs: deque[Any] = field(default_factory=lambda: deque(maxlen=MOST_REQUESTS))
    """Requests that the editor answered."""
    _asked: dict[RequestId, Permission] = field(default_factory=dict)
    """What the agent asked for last under each number."""

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

    def asked(self, request: RequestId, permission: Permission) -> None:
        """The agent asks. Some agents count their requests from the beginning for each session, so what was
        answered under this number was another request."""
        for answered in (self._ours, self._theirs):
            while request in answered:
                answered.remove(request)
        self._asked.pop(request, None)
        self._asked[request] = permission
        if len(self._asked) > MOST_REQUESTS:
            del self._asked[next(iter(self._asked))]

    def answer(self, response: Json, permission: Permission) -> None:
        """Answers a request in the editor's place, unless the editor was faster, or the agent has asked for
        another permission under this number since: an answer must not allow what no one was asked."""
        request = response["id"]
        if self._asked.get(request, permission) != permission:
            return
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
