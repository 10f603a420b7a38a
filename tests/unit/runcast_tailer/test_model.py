"""Whatever happens to the file, the tailer and Redis: what is stored is what the file said.

The oracle is the file itself, as its writer knows it. At the end of every history everything runs again,
and then the lines stored of each generation are the lines of each content that the file has had, up to
and including the sentinel. Only what no follower of files can know is left out: content that is deleted
or overwritten before it was read once, or while the only process that has read it is killed, and a file
that is rotated away before its first line was stored while nobody looked.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.unit.runcast_tailer.files import World

from runcast.contract import SENTINEL

FRAGMENTS = st.sampled_from(
    [
        b"a",
        "é中🚀".encode(),
        b"\r",
        b"\r\n",
        b"\n",
        b"\n\n",
        b"\0",
        b"\xff",
        b"=== Run ",
        b"x" * 3_000,
    ]
)


@dataclass
class Content:
    """What one content of the file was, and whether it's over."""

    written: bytes = b""
    is_gone: bool = False

    def lines(self) -> list[str]:
        raw = self.written.split(b"\n")
        whole = [line[:-1] if line.endswith(b"\r") else line for line in raw[:-1]]
        if self.is_gone and raw[-1]:
            whole.append(raw[-1])
        lines = [line.decode(errors="replace") for line in whole]
        return lines[: lines.index(SENTINEL) + 1] if SENTINEL in lines else lines

    def bytes_after_end(self) -> int:
        offset = 0
        for line in self.written.splitlines(keepends=True):
            offset += len(line)
            if line in (SENTINEL.encode() + b"\n", SENTINEL.encode() + b"\r\n"):
                return len(self.written) - offset
        return 0


class Tailing(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.world = World(Path(self.directory.name) / "logs.txt", window_bytes=20_000)
        self.contents: list[Content] = []
        self.serial = 0
        self.writer: BinaryIO | None = None
        self.create()
        self.world.read()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.check()
        finally:
            self.world.descriptors.close_all()
            if self.writer:
                self.writer.close()
            self.directory.cleanup()

    # The program that writes

    def create(self) -> None:
        """A new file; its first bytes are its own, as a log's first line is in life."""
        if self.writer:
            self.writer.close()
        self.writer = self.world.path.open("ab", buffering=0)
        self.contents.append(Content())
        self.put(b"")

    def put(self, data: bytes) -> None:
        self.serial += 1
        self.write(b"%d:" % self.serial + data)

    @rule(fragments=st.lists(FRAGMENTS, max_size=6))
    def write_partly(self, fragments: list[bytes]) -> None:
        self.put(b"".join(fragments))

    @rule(count=st.integers(1, 2_500))
    def write_lines(self, count: int) -> None:
        self.put(b"".join(b"%d/%d\n" % (self.serial, n) for n in range(count)))

    @rule(
        end=st.sampled_from([b"\n", b"\r\n"]),
        parts=st.lists(st.integers(0, len(SENTINEL) + 2), max_size=3),
        data=st.data(),
    )
    def write_sentinel(self, end: bytes, parts: list[int], data: st.DataObject) -> None:
        """Perhaps in parts, between which it's read or the tailer is killed."""
        self.put(b"\n")
        line, written = SENTINEL.encode() + end, 0
        for part in [*sorted(parts), len(line)]:
            self.write(line[written:part])
            written = max(written, part)
            if written < len(line):
                self.meanwhile(data.draw(st.sampled_from(["read", "settle", "kill"])))

    def write(self, data: bytes) -> None:
        assert self.writer
        self.writer.write(data)
        self.contents[-1].written += data

    def meanwhile(self, what: str) -> None:
        if what == "kill" and not self.at_risk():
            self.world.kill()
        elif what == "read":
            self.world.read()
        else:
            self.world.settle()

    # What happens to the file

    def leave_behind(self) -> None:
        """The content is about to vanish: all of it is read, not all is committed."""
        self.world.read()
        while self.world.tail.window.size or self.world.tail.follower.turning:
            self.world.settle()
        self.put(b"last\n" if self.serial % 2 else b"last")
        self.world.read()
        self.contents[-1].is_gone = True

    @rule()
    def truncate(self) -> None:
        self.leave_behind()
        assert self.writer
        self.writer.truncate(0)
        self.contents.append(Content())
        self.put(b"")
        self.world.read()

    @rule()
    def delete_and_recreate(self) -> None:
        self.leave_behind()
        self.world.path.unlink()
        self.create()
        self.world.settle()

    @rule(fragments=st.lists(FRAGMENTS, max_size=6), kills=st.booleans())
    def rotate(self, fragments: list[bytes], kills: bool) -> None:
        """The file moves away with bytes that nobody has read; it was known before that."""
        self.world.settle()
        committed = self.world.sink.committed
        is_known = committed.file and committed.cursor.generation == len(self.contents)
        self.put(b"".join(fragments))
        self.contents[-1].is_gone = True
        self.world.rotate(f"logs.txt.{len(self.contents)}")
        if kills and is_known:
            self.world.kill()
        self.create()
        self.world.settle()

    # What happens to everybody else

    @rule()
    def read(self) -> None:
        self.world.read()

    @rule(count=st.integers(1, 3))
    def ingest(self, count: int) -> None:
        self.world.ingest(count)

    @rule()
    def settle(self) -> None:
        self.world.settle()

    @rule(seconds=st.floats(0.01, 30))
    def pause(self, seconds: float) -> None:
        self.world.now += seconds

    @rule()
    def send_again(self) -> None:
        """Nothing was lost, only slow: what is in the stream comes twice."""
        self.world.tail.window.rewind(self.world.now)
        self.world.send()

    @rule()
    def lose_stream(self) -> None:
        self.world.lose_stream()

    @precondition(lambda self: not self.at_risk())
    @rule()
    def kill(self) -> None:
        self.world.kill()

    @rule()
    def close_descriptors(self) -> None:
        """As when other files needed them."""
        if not self.at_risk():
            self.world.descriptors.close_all()

    def at_risk(self) -> bool:
        """Content lives nowhere but in the tailer's memory or in an open file without a name."""
        return self.world.tail.follower.cursor.generation < len(self.contents) or bool(
            self.world.tail.window
            and self.world.tail.window.sent[0].first.generation < len(self.contents)
        )

    def check(self) -> None:
        self.world.settle()
        stored = self.world.sink.generations
        for generation, content in enumerate(self.contents, 1):
            assert stored.get(generation, []) == content.lines()
        assert len(stored) <= len(self.contents)
        committed = self.world.sink.committed
        if committed.cursor.generation == len(self.contents):
            assert committed.bytes_after_end == self.contents[-1].bytes_after_end()


EXAMPLES = max(100, int(os.environ.get("RUNCAST_TEST_EXPLORE") or 0))
Tailing.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=25, deadline=None)
TestTailing = Tailing.TestCase
