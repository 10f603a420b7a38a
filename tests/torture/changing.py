"""A reader that changes its filter while its stream lives, at whichever hub answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.torture.history import Backfilled, Note, Refiltered, Wanted
from tests.torture.readers import Reader
from tests.torture.stream import Stream

BACKFILL_LINES = 20
BACKFILL_SECONDS = 10.0


@dataclass
class ChangingReader(Reader):
    """Subscribes to the lines of one of `runs` after the other.

    A change whose answer didn't come may or may not be in force: the reader forgets what it saw since it
    asked, and returns with the position and the filter that it had then.
    """

    runs: Sequence[str] = ()
    changes: int = 0
    _pending: Refiltered | None = None
    """A change in force whose place in the history isn't reached yet."""
    _backfills: list[dict[str, Any]] = field(default_factory=list)
    _sums: dict[str, tuple[int, ...]] = field(default_factory=dict)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(super().run())
            group.create_task(self._keep_changing())

    async def _keep_changing(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(headers=headers, timeout=6.0) as client:
            while True:
                await asyncio.sleep(self.chance.uniform(0.5, 2.5))
                if self.stream is not None and not self.stream.ended.is_set() and self.position:
                    now = self.parameters["subscribe_logs"]
                    others = [run for run in self.runs if run != now]
                    await self._change(client, self.chance.choice(others))

    async def _change(self, client: httpx.AsyncClient, run: str) -> None:
        stream, history = self.stream, self.history
        connection_id = self.connected.get("connection_id")
        before = (len(history.ids), list(history.notes), self.position)
        self._backfills.clear()
        body = {"subscribe_logs": [run], "backfill_lines": BACKFILL_LINES}
        url = f"http://127.0.0.1:{self.chance.choice(self.hubs())}/connections/{connection_id}"
        try:
            answer = await client.patch(url, json=body)
        except httpx.TransportError:
            answer = None
        came_back = self.connected.get("connection_id") != connection_id
        if answer is None or answer.status_code != 200 or came_back:
            self._forget(*before)
            return
        self.changes += 1
        after = answer.json()["effective_after"]
        self.parameters["subscribe_logs"] = run
        self._pending = Refiltered(after, Wanted(frozenset({run})))
        if stream is not None:
            await self._wait_for_backfill(stream)
        await self._wait_for_position(after)
        for told in self._backfills:
            first, last = told["from_line"] or 1, told["to_line"] or 0
            sums = self._sums.pop(told["run_id"], ())
            history.note(Backfilled(told["run_id"], first, last, after, sums))

    async def _wait_for_backfill(self, stream: Stream) -> None:
        for _ in range(int(BACKFILL_SECONDS / 0.05)):
            if self._backfills or stream is not self.stream or stream.ended.is_set():
                return
            await asyncio.sleep(0.05)

    async def _wait_for_position(self, after: int) -> None:
        """The answer may overtake what was sent on the stream before it."""
        while self._pending is not None:
            if (self.position or 0) >= after:
                self._take_effect()
            await asyncio.sleep(0.05)

    def _take_effect(self) -> None:
        if self._pending is not None:
            self.history.refiltered(self._pending)
            self._pending = None

    def _forget(self, frames: int, notes: list[tuple[int, Note]], position: int | None) -> None:
        self._turn += 1
        self.cut()
        history = self.history
        del history.ids[frames:], history.sums[frames:]
        history.notes[:] = notes
        self.position = position

    def _connected(self, data: dict[str, Any]) -> None:
        """A stream that begins before the last change has the filter of its URL, the new one, at once."""
        self._take_effect()
        self.history.begins_at(self._asked_for)
        super()._connected(data)

    def _backfill(self, data: dict[str, Any]) -> None:
        self._backfills.append(data)
        self._sums[data["run_id"]] = tuple(self._backfilled.pop(data["run_id"], ()))
