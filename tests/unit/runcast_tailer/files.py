"""A tailer's core on real files, with an ingester in memory.

`Sink` is the ingester's own rule (`log_sources.accept`) without a database: a `lines` message is compared
with the cursor of its source, what is there is dropped, what begins too far on is discarded, and cursor
and lines move together. A `World` ties one followed file to it: what survives a crash is the file and the
sink.
"""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from pathlib import Path
from typing import Any
from uuid import UUID

from runcast_api.ingest import messages
from runcast_api.logs.sources import Source, SourceKey, accept
from runcast_tailer.descriptors import Descriptors
from runcast_tailer.encoder import Sender
from runcast_tailer.file_identity import Committed
from runcast_tailer.file_reader import Follower, FollowLimits
from runcast_tailer.queries import committed_of
from runcast_tailer.tail import Tail
from runcast_tailer.window import Budget, Window

RUN = UUID(int=1)
MOST_ROUNDS = 5_000
"""Rounds within which everything settles; more would never end."""


class Sink:
    """The committed state: the cursor of the one source, and its lines by generation."""

    def __init__(self) -> None:
        self.source = Source(SourceKey(RUN, "logs.txt"), RUN, 1, 1, 0, 0, 0, 0, None, None)
        self.generations: dict[int, list[str]] = {}
        self.flags: dict[tuple[int, int], dict[str, Any]] = {}
        self.discarded = 0

    def accept(self, payload: bytes) -> None:
        message = messages.parse(payload).lines
        assert message is not None
        accepted = accept(self.source, message.batch())
        if accepted is None:
            self.discarded += 1
            return
        generation, first = message.generation, message.first_line
        stored = self.generations.setdefault(generation, [])
        stored.extend(message.lines[accepted.start :])
        assert len(stored) == first + len(message.lines) - 1
        for place, flags in message.flags.items():
            if place >= accepted.start:
                self.flags[generation, first + place] = flags.members()

    @property
    def committed(self) -> Committed:
        return committed_of(dataclasses.asdict(self.source))

    @property
    def lines(self) -> list[str]:
        return [line for _, lines in sorted(self.generations.items()) for line in lines]

    def copy(self) -> Sink:
        """As a backup of the database."""
        other = Sink()
        other.source = dataclasses.replace(self.source)
        other.generations = {each: list(lines) for each, lines in self.generations.items()}
        other.flags = dict(self.flags)
        return other


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
            self.path,
            self.path.parent,
            self.descriptors,
            self.limits,
            clock=lambda: self.now,
            **self.options,
        )
        follower.resume(self.sink.committed)
        window = Window(Budget(self.window_bytes, self.window_bytes, least=1))
        return Tail(follower, window, Sender({"run_id": str(RUN)}, self.path.name))

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
        quiet, rounds = 0, 0
        while quiet < 8:
            rounds += 1
            assert rounds < MOST_ROUNDS, "something is sent again and again, and never stored"
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
