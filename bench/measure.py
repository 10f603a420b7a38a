"""What scenarios are made of: marked clients, payloads, loads, and what a stretch of time costs.

A machine is seldom quiet. Each window tells how much of it someone else used; windows that were disturbed
are measured again, and those disturbed least count.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bench.contenders.contender import Running
from bench.machine import busy_seconds, children, cpu_seconds
from bench.server import Load, load

PAYLOAD_BYTES = 91
REPORTS_MS = 5
CALM = 0.15
"""Of one core: what others may use in a window that counts without a second try."""
MAX_BURST_EVENTS = 40_000
BURST_SECONDS = 2.5

Window = dict[str, float]
Figures = dict[str, list[float]]


@dataclass(frozen=True)
class Effort:
    """How long things are measured."""

    repeats: int = 3
    window_seconds: float = 4.0


@dataclass(frozen=True)
class Spent:
    """Processor seconds of a stretch of time."""

    server: float
    stores: float
    client: float
    bench: float
    others: float
    """What the machine did besides."""
    wall: float

    @property
    def others_busy(self) -> float:
        """How much of a core others used."""
        return max(0.0, self.others / self.wall)


def repeated(effort: Effort, measure: Callable[[], Window]) -> Figures:
    """Windows until there are enough calm ones, at most twice as many; those disturbed least count."""
    taken: list[Window] = []
    calm = 0
    while calm < effort.repeats and len(taken) < 2 * effort.repeats:
        taken.append(measure())
        calm += taken[-1]["others_busy"] < CALM
    taken.sort(key=lambda window: window["others_busy"])
    return {name: [window[name] for window in taken[: effort.repeats]] for name in taken[0]}


@contextmanager
def spending(running: Running, loaded: Load | None = None) -> Iterator[list[Spent]]:
    """What the block costs; the list has its one element when the block has ended."""
    spent: list[Spent] = []
    before = _seconds(running, loaded)
    yield spent
    after = _seconds(running, loaded)
    spent.append(Spent(*(b - a for a, b in zip(before, after, strict=True))))


def _seconds(running: Running, loaded: Load | None) -> tuple[float, ...]:
    # A Postgres serves each connection by a process of its own.
    stores = [pid for store in running.stores for pid in (store, *children(store))]
    client = [loaded.process.pid] if loaded else []
    parts = [cpu_seconds(pids) for pids in (running.pids, stores, client, [os.getpid()])]
    return *parts, busy_seconds() - sum(parts), time.monotonic()


@contextmanager
def clients(
    running: Running, number: int, channels: Sequence[Sequence[int]], *, settles: bool = True
) -> Iterator[Load]:
    """This many marked streams that take these channels in turn; with `settles` open and silent."""
    with load(
        running,
        number,
        [running.path(each) for each in channels],
        settles=settles,
        marked=True,
        interval_ms=REPORTS_MS,
        more_ports=running.more_ports,
    ) as opened:
        yield opened


def stamped(size: int = PAYLOAD_BYTES) -> str:
    """A payload of this size that says when it was published."""
    return f"~{time.monotonic_ns():020d} ".ljust(size, "x")


def unstamped(size: int = PAYLOAD_BYTES) -> str:
    """A payload of this size whose age doesn't matter."""
    return f"~{0:020d} ".ljust(size, "x")


def trickle(
    running: Running,
    events: int,
    per_second: float,
    *,
    size: int = PAYLOAD_BYTES,
    channels: int = 1,
) -> None:
    """Publishes single events, evenly spaced, to the channels in turn."""
    begin = time.monotonic()
    for number in range(events):
        time.sleep(max(0.0, begin + number / per_second - time.monotonic()))
        running.publisher.publish(number % channels, stamped(size))


def intake_us(running: Running, per_second: float, size: int) -> float:
    """What taking in one event costs when no one listens, in microseconds."""
    events = max(20, int(2 * per_second))
    with spending(running) as spent:
        trickle(running, events, max(per_second, 10.0), size=size)
    return max(0.0, spent[0].server / events * 1e6)


def latency(opened: Load) -> Window:
    """The latency of what was received since it was last forgotten, when the last report is in."""
    time.sleep(3 * REPORTS_MS / 1e3)
    names = ("p50_ms", "p99_ms", "p999_ms", "most_ms")
    return {name: value / 1e3 for name, value in zip(names, opened.latency, strict=True)}


def pour(running: Running, opened: Load, events: int, subscribers: int, payload: str) -> float:
    """Publishes this many events as fast as they are taken; returns when all are delivered: seconds.
    A contender that would drop some gets them in windows."""
    window = running.window or events
    before = opened.frames
    begin = time.monotonic()
    step = max(1, window // 4)
    for sent in range(0, events, step):
        opened.until(frames=before + max(0, sent + step - window) * subscribers)
        running.publisher.burst(0, [payload] * min(step, events - sent))
    opened.until(frames=before + events * subscribers)
    return time.monotonic() - begin


def sized(running: Running, opened: Load, subscribers: int, payload: str) -> int:
    """How many events take this contender about `BURST_SECONDS`."""
    events, seconds = 100, 0.0
    while seconds < 0.4 and events < MAX_BURST_EVENTS:
        events = min(MAX_BURST_EVENTS, events * 4)
        seconds = pour(running, opened, events, subscribers, payload)
    return max(100, min(MAX_BURST_EVENTS, int(events * BURST_SECONDS / seconds)))
