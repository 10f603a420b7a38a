"""A tailer's core on real files, with an ingester made of dictionaries.

`Sink` keeps the promises of the ingester in a few lines: a `lines` message is compared with the cursor
of its source, what is there is dropped, what begins too far on is discarded, and cursor and lines move
together. A `World` ties one followed file to it: what survives a crash is the file and the sink.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from runcast_tailer.descriptors import Descriptors
from runcast_tailer.follow import Follower, FollowLimits
from runcast_tailer.identity import Committed, Cursor, FileIdentity
from runcast_tailer.messages import Sender
from runcast_tailer.tail import Tail
from runcast_tailer.window import Budget, Window


@dataclass
class Sink:
    """The committed state: the cursor of the one source, and its lines by generation."""

    committed: Committed = field(default_factory=Committed)
    generations: dict[int, list[str]] = field(default_factory=dict)
    flags: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)
    bytes_after_end: int = 0
    discarded: int = 0

    def accept(self, payload: bytes) -> None:
        message = orjson.loads(payload)
        cursor, generation = self.committed.cursor, message["generation"]
        first, lines = message["first_line"], message["lines"]
        if generation > cursor.generation and first == 1:
            cursor = Cursor(generation)
        if generation != cursor.generation or first > cursor.line:
            self.discarded += 1
            return
        drop = cursor.line - first
        if drop > len(lines):
            return
        stored = self.generations.setdefault(generation, [])
        for number, flags in message.get("flags", {}).items():
            if int(number) >= drop:
                self.flags[generation, first + int(number)] = flags
        stored.extend(lines[drop:])
        assert len(stored) == first + len(lines) - 1
        self.bytes_after_end = message.get("bytes_after_end", 0)
        self._move(cursor, message, len(lines) - drop)

    def _move(self, cursor: Cursor, message: dict[str, Any], new: int) -> None:
        file, closed = message["file"], message.get("closed")
        after = Cursor(cursor.generation, cursor.line + new, message["next_offset"])
        reason = closed["reason"] if closed else None
        if not new and not closed:
            reason = self.committed.closed_reason
        self.committed = Committed(
            after, FileIdentity(file["device"], file["inode"]), file["fingerprint"], reason,
            bytes_after_end=self.bytes_after_end,
        )  # fmt: skip

    @property
    def lines(self) -> list[str]:
        return [line for _, lines in sorted(self.generations.items()) for line in lines]


class World:
    """One file, one tail, one stream, one sink, and a clock that only moves when it's told to."""

    def __init__(
        self, path: Path, *, line_bytes: int = 65_536, window_bytes: int = 1 << 20, **options: Any
    ) -> None:
        self.path = path
        self.now = 0.0
        self.sink = Sink()
        self.stream: deque[bytes] = deque()
        self.options = options
        self.limits = FollowLimits(line_bytes=line_bytes, drain_seconds=0.5)
        self.window_bytes = window_bytes
        self.descriptors = Descriptors(8)
        self.tail = self._open()

    def _open(self) -> Tail:
        follower = Follower(
            self.path, self.descriptors, self.limits, clock=lambda: self.now, **self.options
        )
        follower.resume(self.sink.committed)
        window = Window(Budget(self.window_bytes, self.window_bytes, least=1))
        return Tail(follower, window, Sender({"run_id": "r"}, self.path.name))

    # What happens to the file

    def write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def rewrite(self, data: bytes) -> None:
        """Truncates in place and writes anew: the same inode."""
        with self.path.open("r+b") as file:
            file.truncate(0)
            file.write(data)

    def rotate(self, name: str = "logs.txt.1") -> None:
        os.rename(self.path, self.path.with_name(name))

    # What happens to the tailer

    def read(self) -> None:
        """Steps until nothing new is found: a while longer than a moved file takes to drain."""
        quiet = 0
        while quiet < 8:
            self.now += 0.1
            quiet = 0 if self.tail.step(self.now) else quiet + 1
            self.send()

    def send(self) -> None:
        for message in self.tail.unsent():
            message.entry = "sent"
            self.stream.append(message.payload)

    def ingest(self, count: int | None = None) -> None:
        for _ in range(len(self.stream) if count is None else min(count, len(self.stream))):
            self.sink.accept(self.stream.popleft())
        self.tail.committed(self.sink.committed, self.now)

    def settle(self) -> None:
        """Reads and commits until both stand still."""
        quiet = 0
        while quiet < 8:
            before = self.sink.committed
            self.now += 0.1
            moved = self.tail.step(self.now)
            self.send()
            self.ingest()
            if self.tail.window and not self.stream:
                self.tail.window.rewind(self.now)
            quiet = 0 if moved or self.sink.committed != before or self.tail.window else quiet + 1

    def kill(self) -> None:
        """The process is gone: descriptors, window and positions with it. The stream remains."""
        self.descriptors.close_all()
        self.tail = self._open()

    def lose_stream(self) -> None:
        """Redis was emptied."""
        self.stream.clear()
