"""What fails for one stream, one filter or one project costs that one alone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from tests import chained

from runcast_hub import room as rooms
from runcast_hub import snapshot
from runcast_hub.combined import Part
from runcast_hub.filters import Filter, Fresh
from runcast_hub.heartbeats import Heart
from runcast_hub.positions import Positions
from runcast_hub.ring import Budget
from runcast_hub.room import Room
from runcast_hub.snapshot import Snapshots
from runcast_hub.timer_wheel import Wheel
from runcast_hub.wire import Timing
from runcast_server.eventlog import frames
from runcast_server.eventlog.history import Position

pytestmark = pytest.mark.anyio

PROJECT, RUN = UUID(int=1), UUID(int=2)


class Socket:
    """A transport that may refuse what it is given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.taken: list[bytes] = []

    def write(self, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append(data)


class Stream:
    """As much of a subscriber as a room sees of it."""

    gzip = None

    def __init__(self, room: Room, wanted: Filter, error: Exception | None = None) -> None:
        self.room, self.filter, self.error = room, wanted, error
        self.connection_id = "c"
        self.takes_frames = isinstance(error, KeyError)
        self.outlet: Any = self
        self.transport = Socket(None if self.takes_frames else error)
        self.ending: str | None = None
        self.is_gone = False
        self.bytes_before = 0
        self.cursor = 0

    def take(self, _: bytes, before: int) -> None:
        if self.error is not None:
            raise self.error

    def on_lost(self) -> None:
        self.is_gone = True
        self.room.part(self)  # type: ignore[arg-type]

    def end(self, reason: str) -> None:
        self.ending = self.ending or reason


def opened(wheel: Wheel | None = None) -> Room:
    nothing: Any = None
    room = Room(PROJECT, nothing, Budget(1 << 20), 100)
    room.start(Position(1, 0, 0))
    if wheel is not None:
        Heart(room, Timing(wheel, 1.0, 60.0))
    return room


def joined(room: Room, wanted: Filter, error: Exception | None = None) -> Stream:
    stream: Any = Stream(room, wanted, error)
    room.enter(stream)
    room.join(stream)
    return stream


async def publish(room: Room, first: int) -> None:
    room.receive(chained.chain(1, first, [frames.event("x:a", {}, run_id=RUN)]))
    await asyncio.sleep(0)
    assert room.delivered == first


async def test_a_stream_that_cannot_take_an_event_keeps_it_from_no_other_one() -> None:
    room = opened()
    odd_socket = joined(room, Filter(), OSError("odd"))
    odd_part = joined(room, Filter(), KeyError("odd"))
    good = [joined(room, wanted) for wanted in (Filter(), Filter(all_logs=True))]
    await publish(room, 1)
    await publish(room, 2)
    assert [len(stream.transport.taken) for stream in good] == [2, 2]
    assert odd_socket.is_gone
    assert odd_part.ending == "shutdown", "it would go on behind what it was never sent"


async def test_a_part_that_is_sent_away_stands_behind_what_it_was_sent_last() -> None:
    room = opened()
    part = joined(room, Filter(), KeyError("odd"))
    part.error = None
    await publish(room, 1)
    await publish(room, 2)
    part.error = KeyError("odd")
    await publish(room, 3)
    assert (part.ending, part.cursor) == ("shutdown", 2), "where it joined is long ago"


class Several:
    """As much of a combined stream as a part sees of it; it stands in a hundred other projects."""

    connection_id, principal, timing, outlet = "c", None, None, None

    def __init__(self) -> None:
        others = [UUID(int=number) for number in range(1000, 1100)]
        self.positions = Positions([PROJECT, *others])
        for other in others:
            self.positions.reach(other, 1_000_000)
        self.sent: list[bytes] = []
        self.was_woken = False

    def put(self, data: bytes) -> None:
        self.sent.append(data)

    def wake(self) -> None:
        self.was_woken = True


async def test_a_part_reads_on_its_own_what_is_too_long_with_its_ids() -> None:
    room, stream = opened(), Several()
    part = Part(stream, room, Filter(), cursor=0, max_lag=None)  # type: ignore[arg-type]
    room.enter(part)
    room.join(part)
    await publish(room, 1)
    room.receive(chained.chain(1, 2, [frames.event("x:a", {}, run_id=RUN)] * 100))
    await asyncio.sleep(0)
    assert (len(stream.sent), room.delivered, stream.was_woken) == (1, 101, True)
    assert part.position == 1, "events would be left out"


async def test_a_filter_that_cannot_be_applied_ends_its_own_streams(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    select = Fresh.select

    def selected(fresh: Fresh, wanted: Filter) -> bytes:
        if wanted.is_guest:
            raise ValueError("odd")
        return select(fresh, wanted)

    monkeypatch.setattr(Fresh, "select", selected)
    room = opened()
    odd, good = joined(room, Filter(is_guest=True)), joined(room, Filter())
    await publish(room, 1)
    assert len(good.transport.taken) == 1
    assert (odd.ending, odd.transport.taken) == ("shutdown", [])
    room.beat(0.0)
    assert odd.transport.taken == [], "a heartbeat would say that it had been sent the event"


async def test_a_beat_that_fails_is_not_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = Wheel()
    room = opened(wheel)
    failing, good = joined(room, Filter(all_logs=True)), joined(room, Filter())
    beat = rooms.Group.beat

    def beaten(group: rooms.Group, cursor: int, seconds: float) -> float:
        if group.filter.all_logs:
            raise ValueError("odd")
        return beat(group, cursor, seconds)

    monkeypatch.setattr(rooms.Group, "beat", beaten)
    for _ in range(2):
        [(second, [heart])] = [*wheel._slots.items()]
        del wheel._slots[second]
        for group in room._groups.values():
            group.written_at -= 2.0
        heart.on_time()
    assert len(good.transport.taken) == 2
    assert failing.ending == "shutdown"


class Timer:
    """What waits on a wheel; may fail as if a storage were away."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.calls = error, 0

    def on_time(self) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error


async def test_a_timer_that_fails_takes_none_of_its_second_with_it() -> None:
    wheel = Wheel()
    timers = [Timer(), Timer(OSError("away")), Timer(ValueError("odd")), Timer()]
    wheel._slots[wheel._now] = timers  # type: ignore[assignment]
    wheel._now -= 1
    await wheel.turn()
    assert [timer.calls for timer in timers] == [1, 1, 1, 1]


async def test_runs_that_cannot_be_shown_keep_no_other_project_s_streams_from_opening(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shown(row: Any) -> dict[str, Any]:
        if row["id"] == RUN:
            raise ValueError("odd")
        return {"id": str(row["id"])}

    monkeypatch.setattr(snapshot, "_as_json", shown)
    rows = [
        {"project": project, "epoch": 1, "head": 3, "id": run, "created_at": datetime.now(UTC)}
        for project, run in ((PROJECT, RUN), (UUID(int=3), UUID(int=4)))
    ]
    snapshots = Snapshots(Pool(rows))
    odd, good = await asyncio.gather(
        snapshots.take(PROJECT), snapshots.take(UUID(int=3)), return_exceptions=True
    )
    assert isinstance(odd, ValueError)
    assert isinstance(good, snapshot.Snapshot)
    assert good.active_runs == [{"id": str(UUID(int=4))}]


class Pool:
    """Answers each query with the same rows."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows

    async def acquire(self, **_: object) -> Pool:
        return self

    async def release(self, _: object) -> None:
        pass

    async def fetch(self, *_: object) -> list[dict[str, Any]]:
        return self._rows
