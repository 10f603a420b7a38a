"""Five ways to break the product, for the proof that the checker notices. Only `entry` loads this, for
processes that a test starts; the product knows nothing of it.

Each happens now and then, not always: a checker that only notices what is wrong everywhere notices
little.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from uuid import UUID

from runcast_hub.filters import Filter, Fresh
from runcast_hub.group import Group
from runcast_hub.room import Room
from runcast_server.eventlog.bus import Bus, Deleted, Head, Keys, Outcome
from runcast_server.eventlog.chains import Chain
from runcast_server.eventlog.frames import FRAME_END

EVERY = 20


def apply(kind: str) -> None:
    """Breaks this process."""
    SABOTAGES[kind]()


def skip_a_publish() -> None:
    """A chain is never published, nobody remembers it, and hubs believe what they hear next.

    It takes both: a hub that sees the hole fills it, and a publisher that finds Redis behind does too.
    """
    publish, receive = Bus.publish, Room.receive
    calls = itertools.count(1)

    async def forgetful(self: Bus, project_id: UUID, chain: Chain, *causes: Any) -> Outcome:
        outcome = await publish(self, project_id, chain, *causes) if next(calls) % EVERY else None
        if outcome is None:
            await self.client.hset(Keys.of(project_id).head, "seq", chain.last)
        return outcome or Outcome("published", chain.last)

    def gullible(self: Room, message: Chain | Head | Deleted) -> bool:
        if isinstance(message, Chain) and message.first > self.head + 1:
            self.head = message.first - 1
        return receive(self, message)

    Bus.publish = forgetful  # type: ignore[method-assign]
    Room.receive = gullible  # type: ignore[method-assign]


def drop_a_frame() -> None:
    """One frame of a delivery is left out."""
    _change_deliveries(lambda frames: frames[:-1])


def swap_two() -> None:
    """Two frames change places."""
    _change_deliveries(lambda frames: [*frames[:-2], *reversed(frames[-2:])])


def double_one() -> None:
    """One frame goes out twice."""
    _change_deliveries(lambda frames: [*frames, frames[-1]])


def _change_deliveries(change: Callable[[list[bytes]], list[bytes]]) -> None:
    select = Fresh.select
    calls = itertools.count(1)

    def changed(self: Fresh, wanted: Filter) -> bytes:
        data = select(self, wanted)
        if data.count(FRAME_END) < 2 or next(calls) % EVERY:
            return data
        frames = [frame + FRAME_END for frame in data.split(FRAME_END)[:-1]]
        return b"".join(change(frames))

    Fresh.select = changed  # type: ignore[method-assign]


def lose_the_tail() -> None:
    """The newest frame goes out with the one that follows it, so the very last one never does."""
    deliver = Group.deliver
    kept: dict[int, bytes] = {}

    def late(self: Group, data: bytes, upto: int) -> Any:
        frames = [frame + FRAME_END for frame in data.split(FRAME_END)[:-1]]
        before = kept.get(id(self), b"")
        kept[id(self)] = frames[-1]
        return deliver(self, before + b"".join(frames[:-1]), upto)

    Group.deliver = late  # type: ignore[method-assign]


SABOTAGES: dict[str, Callable[[], None]] = {
    "skip a publish": skip_a_publish,
    "drop a frame": drop_a_frame,
    "swap two": swap_two,
    "double one": double_one,
    "lose the tail": lose_the_tail,
}
