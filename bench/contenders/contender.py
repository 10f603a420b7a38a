"""What a contender is: something that can be started, subscribed to and published to.

All get the same payloads. A payload is text without line feeds that begins with a mark and the time of
its publishing (`bench/client.c`), and each contender wraps it as it always does.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


class NotHere(Exception):
    """This contender can't be had on this machine; the message says why."""


@dataclass(frozen=True)
class Job:
    """What a scenario needs of the server that it is given."""

    channels: int = 1
    """Channels (of Runcast: projects) that are published to."""
    filters: int = 0
    """Further channels (of Runcast: runs of the project) of which each subscriber names another one."""
    heartbeat_seconds: int = 30


class Publisher(Protocol):
    """Gives payloads to the contender, by the way that it documents."""

    def publish(self, channel: int, payload: str) -> None:
        """One event; returns when the contender has accepted it."""

    def burst(self, channel: int, payloads: Iterable[str]) -> None:
        """Many, as fast as they are taken."""


@dataclass(frozen=True)
class Running:
    """A started contender."""

    port: int
    pids: Sequence[int]
    """The processes whose time and memory count."""
    publisher: Publisher
    path: Callable[[Sequence[int]], str]
    """The path to request for a stream of these channels."""
    token: str = "-"
    stores: Sequence[int] = ()
    """What it keeps its data in: counted apart, as it runs beside."""
    replay: Callable[[], str] | None = None
    """The path of a stream that begins with the oldest event of channel 0; None: there is no such thing."""
    more_ports: Sequence[int] = ()
    """Further processes that serve the same streams: clients spread over them."""
    window: int | None = None
    """How many events may be on their way in a burst before it drops some or closes streams."""


class Contender(Protocol):
    """One module beside this one."""

    name: str
    title: str
    is_peer: bool
    """Whether the marks compare with it."""

    def versions(self) -> str:
        """What exactly runs. Raises `NotHere`."""

    def start(self, job: Job) -> AbstractContextManager[Running]:
        """A server on its own port, pinned. Raises `NotHere`."""
