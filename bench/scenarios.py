"""The scenarios: each starts a contender afresh, loads it, and returns figures.

A figure is the list of what its repeats measured; units are in its name. All figures of processor time
are of the contender's own processes; its stores run beside and are counted in `store_us`.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from bench.contenders.contender import Contender, Job, Running
from bench.machine import children, cpu_seconds, kernel_bytes, resident_bytes
from bench.server import Load, load

PAYLOAD_BYTES = 91
LARGE_BYTES = 16 * 1024
SUBSCRIBERS = 500
MANY = 10_000
STORM_EVENTS = 1_000
STORM_SECONDS = 40.0
DELIVERIES_PER_SECOND = 10_000
FAST_REPORTS_MS = 5
BURST_SECONDS = 2.5
MAX_BURST_EVENTS = 40_000
STALLED = 100

Figures = dict[str, list[float]]


@dataclass(frozen=True)
class Effort:
    """How long things are measured."""

    repeats: int = 3
    window_seconds: float = 4.0


class CannotError(Exception):
    """The contender has no such thing; the message says what."""


@dataclass
class Measured:
    """Collects the repeats of each figure."""

    figures: Figures = field(default_factory=lambda: defaultdict(list))

    def add(self, **values: float) -> None:
        for name, value in values.items():
            self.figures[name].append(value)


@dataclass(frozen=True)
class Spent:
    """Processor seconds of a stretch of time."""

    server: float
    stores: float
    client: float
    wall: float


@contextmanager
def clients(
    running: Running, number: int, channels: list[list[int]], **options: bool
) -> Iterator[Load]:
    """So many marked streams that take these channels in turn, open and silent."""
    paths = [running.path(each) for each in channels]
    options = {"marked": True, "settles": True, **options}
    with load(
        running,
        number,
        paths,
        interval_ms=FAST_REPORTS_MS,
        more_ports=running.more_ports,
        **options,
    ) as opened:
        yield opened


def stamped(size: int = PAYLOAD_BYTES) -> str:
    """A payload of this size that says when it was published."""
    return f"~{time.monotonic_ns():020d} ".ljust(size, "x")


UNSTAMPED = f"~{0:020d} ".ljust(PAYLOAD_BYTES, "x")


def _seconds(running: Running, loaded: Load | None) -> tuple[float, float, float, float]:
    # A Postgres serves each connection by a process of its own.
    stores = [pid for store in running.stores for pid in (store, *children(store))]
    client = [loaded.process.pid] if loaded else []
    return cpu_seconds(running.pids), cpu_seconds(stores), cpu_seconds(client), time.monotonic()


@contextmanager
def spending(running: Running, loaded: Load | None = None) -> Iterator[list[Spent]]:
    """What the block costs; the list has its one element when the block has ended."""
    spent: list[Spent] = []
    before = _seconds(running, loaded)
    yield spent
    after = _seconds(running, loaded)
    spent.append(Spent(*(b - a for a, b in zip(before, after, strict=True))))


def trickle(running: Running, events: int, per_second: float, size: int = PAYLOAD_BYTES) -> None:
    """Publishes single events, evenly spaced, to the channels in turn."""
    begin = time.monotonic()
    for number in range(events):
        time.sleep(max(0.0, begin + number / per_second - time.monotonic()))
        running.publisher.publish(0, stamped(size))


def intake_us(running: Running, per_second: float, size: int = PAYLOAD_BYTES) -> float:
    """What taking in one event costs when nobody listens, in microseconds."""
    events = max(20, int(2 * per_second))
    with spending(running) as spent:
        trickle(running, events, max(per_second, 10.0), size)
    return max(0.0, spent[0].server / events * 1e6)


# ---------------------------------------------------------------------- sparse


def sparse(
    contender: Contender, effort: Effort, subscribers: int, size: int = PAYLOAD_BYTES
) -> Figures:
    """Single events, spaced so that there are 10,000 deliveries a second (large ones: a quarter)."""
    rate = DELIVERIES_PER_SECOND / (4 if size > PAYLOAD_BYTES else 1)
    measured = Measured()
    with contender.start(Job()) as running:
        taking_in = intake_us(running, rate / subscribers, size)
        with clients(running, subscribers, [[0]]) as opened:
            trickle(running, 3, 5, size)
            opened.until(frames=opened.frames)
            opened.settle()
            for _ in range(effort.repeats):
                _sparse_window(
                    running, opened, effort, subscribers, rate, size, taking_in, measured
                )
    return measured.figures


def _sparse_window(
    running: Running,
    opened: Load,
    effort: Effort,
    subscribers: int,
    rate: float,
    size: int,
    taking_in: float,
    measured: Measured,
) -> None:
    per_second = rate / subscribers
    events = max(4, round(effort.window_seconds * per_second))
    before = opened.frames
    opened.forget_latency()
    with spending(running, opened) as spent:
        trickle(running, events, per_second, size)
        opened.until(frames=before + events * subscribers)
    time.sleep(3 * FAST_REPORTS_MS / 1e3)
    deliveries = events * subscribers
    whole = spent[0].server / deliveries * 1e6
    p50, p99, p999, most = opened.latency
    measured.add(
        whole_us=whole,
        delivery_us=max(0.0, whole - taking_in / subscribers),
        store_us=spent[0].stores / deliveries * 1e6,
        p50_ms=p50 / 1e3,
        p99_ms=p99 / 1e3,
        p999_ms=p999 / 1e3,
        most_ms=most / 1e3,
    )


# ---------------------------------------------------------------------- bursts


def pour(running: Running, opened: Load, events: int, subscribers: int, payload: str) -> float:
    """Publishes so many events as fast as they are taken; returns when all are delivered: seconds.
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


def burst(contender: Contender, effort: Effort, payload: str = UNSTAMPED) -> Figures:
    """Events as fast as they go: deliveries a second until the last one arrived."""
    measured = Measured()
    with contender.start(Job()) as running, clients(running, SUBSCRIBERS, [[0]]) as opened:
        events = sized(running, opened, payload)
        for _ in range(effort.repeats):
            with spending(running, opened) as spent:
                received = opened.bytes
                seconds = pour(running, opened, events, SUBSCRIBERS, payload)
            deliveries = events * SUBSCRIBERS
            measured.add(
                per_second=deliveries / seconds,
                whole_us=spent[0].server / deliveries * 1e6,
                megabytes_per_second=(opened.bytes - received) / seconds / 1e6,
                server_busy=spent[0].server / spent[0].wall,
                client_busy=spent[0].client / spent[0].wall,
            )
    return measured.figures


def sized(running: Running, opened: Load, payload: str) -> int:
    """How many events take this contender about `BURST_SECONDS`."""
    events, seconds = 100, 0.0
    while seconds < 0.4 and events < MAX_BURST_EVENTS:
        events = min(MAX_BURST_EVENTS, events * 4)
        seconds = pour(running, opened, events, SUBSCRIBERS, payload)
    return max(100, min(MAX_BURST_EVENTS, int(events * BURST_SECONDS / seconds)))


def large(contender: Contender, effort: Effort) -> Figures:
    """Frames of 16 KB: sparse, then as fast as they go."""
    figures = sparse(contender, effort, SUBSCRIBERS, LARGE_BYTES)
    poured = burst(contender, effort, f"~{0:020d} ".ljust(LARGE_BYTES, "x"))
    return figures | {f"burst_{name}": values for name, values in poured.items()}


# ---------------------------------------------------------------------- many channels, many filters


def channels(contender: Contender, effort: Effort) -> Figures:
    """A thousand channels (of Runcast: projects) with ten subscribers each, an event to each in turn."""
    measured, number, each = Measured(), 1000, 10
    paths = [[channel] for channel in range(number)]
    with (
        contender.start(Job(channels=number)) as running,
        clients(running, number * each, paths) as opened,
    ):
        for _ in range(effort.repeats):
            before = opened.frames
            opened.forget_latency()
            with spending(running, opened) as spent:
                begin = time.monotonic()
                for channel in range(number):
                    time.sleep(max(0.0, begin + channel / 500 - time.monotonic()))
                    running.publisher.publish(channel, stamped())
                opened.until(frames=before + number * each)
            time.sleep(3 * FAST_REPORTS_MS / 1e3)
            measured.add(
                whole_us=spent[0].server / number / each * 1e6,
                events_per_second=number / spent[0].wall,
                p50_ms=opened.latency[0] / 1e3,
                p99_ms=opened.latency[1] / 1e3,
            )
    return measured.figures


def filters(contender: Contender, effort: Effort) -> Figures:
    """The same events to 500 subscribers with one filter, and to 500 with a filter each."""
    measured = Measured()
    alone = [[0, 1]]
    own = [[0, number + 1] for number in range(SUBSCRIBERS)]
    with contender.start(Job(filters=SUBSCRIBERS)) as running:
        for _ in range(effort.repeats):
            one, many = (
                _filtered_us(running, effort, wanted, measured, name)
                for wanted, name in ((alone, "one"), (own, "many"))
            )
            measured.add(ratio=many / one)
    return measured.figures


def _filtered_us(
    running: Running, effort: Effort, wanted: list[list[int]], measured: Measured, name: str
) -> float:
    per_second = DELIVERIES_PER_SECOND / SUBSCRIBERS
    events = round(effort.window_seconds * per_second)
    with clients(running, SUBSCRIBERS, wanted) as opened:
        before = opened.frames
        with spending(running, opened) as spent:
            trickle(running, events, per_second)
            opened.until(frames=before + events * SUBSCRIBERS)
    micros = spent[0].server / events / SUBSCRIBERS * 1e6
    measured.add(**{f"{name}_us": micros})
    return micros


# ---------------------------------------------------------------------- many connections


def idle(contender: Contender, effort: Effort) -> Figures:
    """10,000 connections that wait: how fast they come, what they hold, what their heartbeats cost."""
    measured, beat = Measured(), 10
    with contender.start(Job(heartbeat_seconds=beat)) as running:
        with clients(running, 10, [[0]]):
            trickle(running, 2, 10)
        resident, kernel = resident_bytes(running.pids), kernel_bytes()
        begin = time.monotonic()
        with clients(running, MANY, [[0]], settles=False) as opened:
            opened.until(connected=MANY)
            seconds = time.monotonic() - begin
            opened.settle()
            with spending(running, opened) as spent:
                time.sleep(beat)
            measured.add(
                connects_per_second=MANY / seconds,
                resident_kib=(resident_bytes(running.pids) - resident) / MANY / 1024,
                kernel_kib=(kernel_bytes() - kernel) / MANY / 1024,
                idle_cpu_percent=spent[0].server / spent[0].wall * 100,
            )
    return measured.figures


def storm(contender: Contender, effort: Effort) -> Figures:
    """10,000 clients come back at once and want the same 1,000 events."""
    measured = Measured()
    with contender.start(Job()) as running, ExitStack() as stack:
        if running.replay is None:
            raise CannotError("keeps no history that a stream could resume from")
        running.publisher.burst(0, [UNSTAMPED] * STORM_EVENTS)
        _wait_for_history(running)
        with spending(running) as spent:
            begin = time.monotonic()
            opened = stack.enter_context(
                load(
                    running,
                    MANY,
                    [running.replay()],
                    settles=False,
                    marked=True,
                    more_ports=running.more_ports,
                )
            )
            wanted = MANY * STORM_EVENTS
            while opened.frames < wanted and time.monotonic() - begin < STORM_SECONDS:
                time.sleep(0.05)
            seconds = time.monotonic() - begin
        done = min(1.0, opened.frames / wanted)
        measured.add(
            seconds=seconds,
            percent=100 * done,
            closed=opened.closed,
            whole_us=spent[0].server / max(1, opened.frames) * 1e6,
        )
    return measured.figures


def _wait_for_history(running: Running) -> None:
    """Until one stream gets all: bursts are taken in behind the publisher."""
    assert running.replay is not None
    with load(running, 1, [running.replay()], settles=False, marked=True) as opened:
        opened.until(frames=STORM_EVENTS, seconds=20)


def slow(contender: Contender, effort: Effort) -> Figures:
    """Bursts to 500 readers, alone and with a hundred beside them that read nothing."""
    measured = Measured()
    with contender.start(Job()) as running, clients(running, SUBSCRIBERS, [[0]]) as opened:
        events = sized(running, opened, UNSTAMPED)
        for _ in range(effort.repeats):
            measured.add(
                alone_per_second=_rate(running, opened, events),
            )
        with load(
            running,
            STALLED,
            [running.path([0])],
            stalls=True,
            marked=True,
            more_ports=running.more_ports,
        ) as stalled:
            _rate(running, opened, events)
            for _ in range(effort.repeats):
                measured.add(beside_per_second=_rate(running, opened, events))
            measured.add(stalled_closed=stalled.closed)
    return measured.figures


def _rate(running: Running, opened: Load, events: int) -> float:
    return events * SUBSCRIBERS / pour(running, opened, events, SUBSCRIBERS, UNSTAMPED)


Scenario = Callable[[Contender, Effort], Figures]

SCENARIOS: dict[str, Scenario] = {
    "sparse-500": lambda contender, effort: sparse(contender, effort, 500),
    "sparse-5000": lambda contender, effort: sparse(contender, effort, 5_000),
    "sparse-10000": lambda contender, effort: sparse(contender, effort, 10_000),
    "burst": burst,
    "idle": idle,
    "channels": channels,
    "filters": filters,
    "large": large,
    "storm": storm,
    "slow": slow,
}
