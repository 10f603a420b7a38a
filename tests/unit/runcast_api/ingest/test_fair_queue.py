"""Whose messages a batch takes, from a stream in memory."""

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from runcast_api.ingest import fair_queue
from runcast_api.ingest.fair_queue import FairQueue
from runcast_api.ingest.messages import Message
from runcast_api.ingest.stream import START, Entry, Position, as_numbers

pytestmark = pytest.mark.anyio


@dataclass
class Stream:
    """Entries that nobody removes."""

    entries: list[Entry] = field(default_factory=list)
    reads: int = 0
    is_tailers: bool = False

    def add(self, run: int, number_of_lines: int = 1, project: str = "p") -> None:
        message = {
            "type": "lines", "run_id": str(UUID(int=run)), "project": project, "source": "s",
            "first_line": 1, "first_offset": 0, "lines": ["x"] * number_of_lines,
        }  # fmt: skip
        raw = json.dumps(message).encode()
        self.entries.append(Entry(f"{len(self.entries) + 1}-0", raw))

    async def read(self, after: str, *, count: int, block_ms: int | None = None) -> list[Entry]:
        self.reads += 1
        found = [each for each in self.entries if as_numbers(each.id) > as_numbers(after)]
        return found[:count]

    async def range(self, first: str, last: str, *, count: int) -> tuple[list[Entry], bool]:
        low, high = as_numbers(first), as_numbers(last)
        found = [each for each in self.entries if low <= as_numbers(each.id) <= high]
        return found[:count], len(found) <= count


def queue_of(stream: Stream, position: str = START, **more: Any) -> FairQueue:
    return FairQueue(stream, Position(1, position), project_of, **more)  # type: ignore[arg-type]


def project_of(message: Message) -> str:
    return message.project or ""


async def batches_of(queue: FairQueue) -> list[list[str]]:
    found: list[list[str]] = []
    while (batch := await queue.next()) is not None:
        found.append([read.id.removesuffix("-0") for read in batch])
        await queue.fill()
    return found


async def test_a_batch_holds_about_two_thousand_lines() -> None:
    stream = Stream()
    for number in (800, 800, 800, 800, 800, 6_000, 1):
        stream.add(1, number)
    found = await batches_of(queue_of(stream))
    assert found == [["1", "2"], ["3", "4"], ["5"], ["6"], ["7"]]


async def test_projects_take_turns_and_so_do_their_runs() -> None:
    stream = Stream()
    for number in range(6):
        stream.add(number % 2, project="flood")
    stream.add(2, project="flood")
    stream.add(3, project="quiet")
    assert await batches_of(queue_of(stream, max_events=3)) == [
        ["1", "2", "8"], ["3", "4", "7"], ["5", "6"]
    ]  # fmt: skip


async def test_a_message_without_lines_takes_a_turn_too() -> None:
    stream = Stream()
    for number_of_lines in (0, 0, 1):
        stream.add(1, number_of_lines)
    assert await batches_of(queue_of(stream, max_events=1)) == [["1"], ["2"], ["3"]]


async def test_a_cursor_says_which_runs_are_behind() -> None:
    stream = Stream()
    for _ in range(5):
        stream.add(1, project="flood")
    stream.add(2, project="quiet")
    queue = queue_of(stream, max_events=2)
    batch = await queue.next()
    assert batch is not None
    assert [read.id for read in batch] == ["1-0", "6-0"]
    assert batch[0].cursor == "1-0"
    done_to, behind = batch[1].cursor.split(" ")
    assert (done_to, behind.partition("=")[2]) == ("6-0", "2-0")
    stream.add(2, project="quiet")
    assert await batches_of(queue_of(stream, batch[1].cursor, max_events=2)) == [
        ["2", "7"], ["3", "4"], ["5"]
    ]  # fmt: skip


async def test_memory_is_bounded_whatever_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_queue, "KEPT_BYTES", 2_000)
    stream = Stream()
    for number in range(400):
        stream.add(number % 3, project="flood")
    stream.add(9, project="quiet")
    queue, most, found = queue_of(stream, max_events=10), 0, []
    while (batch := await queue.next()) is not None:
        found.append([read.id for read in batch])
        await queue.fill()
        most = max(most, queue._size)
    assert most < 3_000
    assert any("401-0" in batch for batch in found[:5])
    taken = [id for batch in found for id in batch]
    assert sorted(taken, key=as_numbers) == [f"{n}-0" for n in range(1, 402)]
    for run in range(3):
        own = [
            as_numbers(id) for id in taken if id != "401-0" and (as_numbers(id)[0] - 1) % 3 == run
        ]
        assert own == sorted(own)
