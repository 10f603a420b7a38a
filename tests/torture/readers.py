"""Readers of every kind. Each returns with its position whenever its stream ends or falls silent, and
writes down what it saw (`history`); it never judges."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from zlib import crc32

import orjson

from tests.torture.history import Backfilled, Gap, History, Moved, Opened
from tests.torture.stream import Refused, Stream, open_stream

SILENCE_SECONDS = 4.0
"""Without a heartbeat for so long a reader tries another hub: four of them are missing."""
RETRY_SECONDS = (0.05, 0.3)
SLOW_BUFFER_BYTES = 16 * 1024


@dataclass
class Reader:
    """One client that wants to hear everything that its filter asks for, for as long as it lives."""

    history: History
    path: str
    token: str
    hubs: Callable[[], Sequence[int]]
    """The ports of the hubs, to choose from."""
    chance: random.Random
    parameters: dict[str, str] = field(default_factory=dict)
    position: int | None = None
    receive_buffer: int | None = None
    nap: tuple[float, float] | None = None
    """A slow reader: reads for so many seconds, then sleeps for so many."""
    stream: Stream | None = None
    connected: dict[str, Any] = field(default_factory=dict)
    refusals: list[Refused] = field(default_factory=list)
    byes: list[str] = field(default_factory=list)
    is_away: bool = False
    """It was told not to read for a while: its silence is its own."""
    has_connected: asyncio.Event = field(default_factory=asyncio.Event)
    watch: Callable[[bytes], None] | None = None
    """Is shown every frame that holds an event, numbered or sent as backfill."""
    _backfilled: dict[str, list[int]] = field(default_factory=dict)
    _heard_at: float | None = None
    _asked_for: int | None = None
    _turn: int = 0
    """What comes by a stream that was opened in an earlier turn doesn't count."""

    async def run(self) -> None:
        """Until cancelled, or until a run's stream says that it is complete."""
        try:
            while "complete" not in self.byes:
                await self._once()
                await asyncio.sleep(self.chance.uniform(*RETRY_SECONDS))
        finally:
            if self.stream is not None:
                self.stream.close()

    async def _once(self) -> None:
        port = self.chance.choice(self.hubs())
        query = f"?{urlencode(self.parameters)}" if self.parameters else ""
        headers = {"Authorization": f"Bearer {self.token}"}
        if self.position is not None:
            headers["Last-Event-ID"] = str(self.position)
        self._backfilled.clear()
        self._asked_for = self.position
        turn = self._turn

        def on_block(block: bytes) -> None:
            if turn == self._turn:
                self._block(block)

        try:
            stream = self.stream = await open_stream(
                port,
                self.path + query,
                headers,
                on_block,
                self.history.silent,
                receive_buffer=self.receive_buffer,
            )
        except Refused as refusal:
            self.refusals.append(refusal)
            return
        try:
            await self._listen(stream)
        finally:
            self._leave(stream)

    async def _listen(self, stream: Stream) -> None:
        loop = asyncio.get_running_loop()
        awake_until = loop.time() + (self.nap[0] if self.nap else 3600)
        while not stream.ended.is_set():
            try:
                async with asyncio.timeout(0.25):
                    await stream.ended.wait()
            except TimeoutError:
                if not self.is_away and loop.time() - stream.heard_at > SILENCE_SECONDS:
                    return
            nap = self.nap
            if nap is not None and loop.time() > awake_until:
                await self.stall(nap[1])
                awake_until = loop.time() + nap[0]

    async def stall(self, seconds: float) -> None:
        """Doesn't read for a while."""
        stream = self.stream
        if stream is None or stream.ended.is_set():
            return
        self.is_away = True
        stream.pause()
        await asyncio.sleep(seconds)
        stream.resume()
        stream.heard_at = asyncio.get_running_loop().time()
        self.is_away = False

    def cut(self) -> bool:
        """Tears its own connection; whether there was one."""
        if self.stream is None or self.stream.ended.is_set():
            return False
        self.stream.close()
        return True

    def vanish(self) -> Stream | None:
        """Leaves its connection as it stands, unread, and goes on with another; answers the old one,
        which someone else must close."""
        stream = self.stream
        if stream is None or stream.ended.is_set() or self.is_away:
            return None
        stream.pause()
        stream.abandon()
        return stream

    # ------------------------------------------------------------------ what comes

    def _block(self, block: bytes) -> None:
        if block.startswith(b"id: "):
            end = block.find(b"\n")
            number = int(block[4:end])
            if block.startswith(b"event: gap", end + 1):
                self._gap(block)
            else:
                self.history.frame(number, block)
                if self.watch is not None:
                    self.watch(block)
            self.position = number
        elif block.startswith(b": hb\nid: "):
            self.position = int(block[9:])
            self.history.note(Moved(self.position))
        else:
            self._control(block)

    def _gap(self, block: bytes) -> None:
        data = data_of(block)
        self.history.note(Gap(data["from"], data["to"], data["reason"]))

    def _control(self, block: bytes) -> None:
        kind, _, data = block.partition(b"\ndata: ")
        match kind.rpartition(b"event: ")[2]:
            case b"connected":
                self._connected(orjson.loads(data))
            case b"agent:log":
                if self.watch is not None:
                    self.watch(block)
                line = orjson.loads(data)
                self._backfilled.setdefault(line["run_id"], []).append(crc32(data))
            case b"backfill":
                self._backfill(orjson.loads(data))
            case b"bye":
                self.byes.append(orjson.loads(data)["reason"])

    def _connected(self, data: dict[str, Any]) -> None:
        history = self.history
        if self._heard_at is not None:
            history.silent(self._heard_at, asyncio.get_running_loop().time())
        if self._asked_for is None:
            history.start = None
            history.notes.clear()
        self.connected = data
        history.connections += 1
        history.note(Opened(data["head"], data["resumed_from"], self._asked_for))
        self.has_connected.set()

    def _backfill(self, data: dict[str, Any]) -> None:
        sums = tuple(self._backfilled.pop(data["run_id"], ()))
        first, last = data["from_line"] or 1, data["to_line"] or 0
        head = self.connected["head"]
        self.history.note(Backfilled(data["run_id"], first, last, head, sums))

    def _leave(self, stream: Stream) -> None:
        if not stream.is_abandoned:
            stream.close()
        self._heard_at = stream.heard_at


def data_of(block: bytes) -> Any:
    """The data of a frame."""
    return orjson.loads(block[block.index(b"\ndata: ") + 7 :])
