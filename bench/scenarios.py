"""The scenarios: each starts a contender afresh, loads it, and returns figures.

A figure is the list of what its repeats measured; units are in its name. Processor time is of the
contender's own processes; its stores run beside and are counted in `store_us`.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from bench.contenders.contender import Contender, Job, Running
from bench.machine import kernel_bytes, resident_bytes
from bench.measure import (
    PAYLOAD_BYTES,
    Effort,
    Figures,
    Window,
    clients,
    intake_us,
    latency,
    pour,
    repeated,
    sized,
    spending,
    trickle,
    unstamped,
)
from bench.server import Load, load

LARGE_BYTES = 16 * 1024
SUBSCRIBERS = 500
MANY = 10_000
CHANNELS = 1_000
CHANNEL_EVENTS_PER_SECOND = 500
DELIVERIES_PER_SECOND = 10_000
STORM_EVENTS = 1_000
STORM_SECONDS = 40.0
STALLED = 100
HEARTBEAT_SECONDS = 10


class CannotError(Exception):
    """The contender has no such thing; the message says what."""


# ---------------------------------------------------------------------- one channel


def sparse(
    contender: Contender, effort: Effort, subscribers: int, size: int = PAYLOAD_BYTES
) -> Figures:
    """Single events, spaced so that there are 10,000 deliveries a second (large ones: a quarter)."""
    per_second = DELIVERIES_PER_SECOND / subscribers / (4 if size > PAYLOAD_BYTES else 1)
    events = max(4, round(effort.window_seconds * per_second))
    deliveries = events * subscribers

    with contender.start(Job()) as running:
        intake = intake_us(running, per_second, size)

        def window() -> Window:
            before = opened.frames
            opened.forget_latency()
            with spending(running, opened) as spent:
                trickle(running, events, per_second, size=size)
                opened.until(frames=before + deliveries)
            whole = spent[0].server / deliveries * 1e6
            return {
                "whole_us": whole,
                "delivery_us": max(0.0, whole - intake / subscribers),
                "store_us": spent[0].stores / deliveries * 1e6,
                "others_busy": spent[0].others_busy,
                **latency(opened),
            }

        with clients(running, subscribers, [[0]]) as opened:
            trickle(running, 3, 5, size=size)
            opened.settle()
            return repeated(effort, window)


def burst(contender: Contender, effort: Effort, size: int = PAYLOAD_BYTES) -> Figures:
    """Events as fast as they go: deliveries a second until the last one arrived."""
    payload = unstamped(size)

    def window() -> Window:
        received = opened.bytes
        with spending(running, opened) as spent:
            seconds = pour(running, opened, events, SUBSCRIBERS, payload)
        deliveries = events * SUBSCRIBERS
        return {
            "per_second": deliveries / seconds,
            "whole_us": spent[0].server / deliveries * 1e6,
            "megabytes_per_second": (opened.bytes - received) / seconds / 1e6,
            "server_busy": spent[0].server / spent[0].wall,
            "client_busy": spent[0].client / spent[0].wall,
            "others_busy": spent[0].others_busy,
        }

    with contender.start(Job()) as running, clients(running, SUBSCRIBERS, [[0]]) as opened:
        events = sized(running, opened, SUBSCRIBERS, payload)
        return repeated(effort, window)


def large(contender: Contender, effort: Effort) -> Figures:
    """Frames of 16 KB: sparse, then as fast as they go."""
    figures = sparse(contender, effort, SUBSCRIBERS, LARGE_BYTES)
    poured = burst(contender, effort, LARGE_BYTES)
    return figures | {f"burst_{name}": values for name, values in poured.items()}


def slow(contender: Contender, effort: Effort) -> Figures:
    """Bursts to 500 readers, alone and with a hundred beside them that read nothing."""
    payload = unstamped()

    def window() -> Window:
        with spending(running, opened) as spent:
            seconds = pour(running, opened, events, SUBSCRIBERS, payload)
        return {"per_second": events * SUBSCRIBERS / seconds, "others_busy": spent[0].others_busy}

    with contender.start(Job()) as running, clients(running, SUBSCRIBERS, [[0]]) as opened:
        events = sized(running, opened, SUBSCRIBERS, payload)
        alone = repeated(effort, window)
        with load(running, STALLED, [running.path([0])], stalls=True, marked=True) as stalled:
            # The first one fills what the stalled ones' sockets hold.
            window()
            beside = repeated(effort, window)
            closed = float(stalled.closed)
    return {
        "alone_per_second": alone["per_second"],
        "beside_per_second": beside["per_second"],
        "stalled_closed": [closed],
    }


# ---------------------------------------------------------------------- many channels, many filters


def channels(contender: Contender, effort: Effort) -> Figures:
    """A thousand channels (of Runcast: projects) with ten subscribers each, an event to each in turn."""
    paths = [[channel] for channel in range(CHANNELS)]

    def window() -> Window:
        before = opened.frames
        opened.forget_latency()
        with spending(running, opened) as spent:
            trickle(running, CHANNELS, CHANNEL_EVENTS_PER_SECOND, channels=CHANNELS)
            opened.until(frames=before + MANY)
        return {
            "whole_us": spent[0].server / MANY * 1e6,
            "events_per_second": CHANNELS / spent[0].wall,
            "others_busy": spent[0].others_busy,
            **latency(opened),
        }

    with (
        contender.start(Job(channels=CHANNELS)) as running,
        clients(running, MANY, paths) as opened,
    ):
        return repeated(effort, window)


def filters(contender: Contender, effort: Effort) -> Figures:
    """The same events to 500 subscribers with one filter, and to 500 with a filter each."""
    with contender.start(Job(filters=SUBSCRIBERS)) as running:
        one = _filtered(running, effort, [[0, 1]])
        many = _filtered(running, effort, [[0, number + 1] for number in range(SUBSCRIBERS)])
    ratios = [b / a for a, b in zip(one, many, strict=True)]
    return {"one_us": one, "many_us": many, "ratio": ratios}


def _filtered(running: Running, effort: Effort, wanted: Sequence[Sequence[int]]) -> list[float]:
    """Microseconds per delivery when subscribers want these channels, in turn."""
    per_second = DELIVERIES_PER_SECOND / SUBSCRIBERS
    events = round(effort.window_seconds * per_second)

    def window() -> Window:
        before = opened.frames
        with spending(running, opened) as spent:
            trickle(running, events, per_second)
            opened.until(frames=before + events * SUBSCRIBERS)
        micros = spent[0].server / events / SUBSCRIBERS * 1e6
        return {"us": micros, "others_busy": spent[0].others_busy}

    with clients(running, SUBSCRIBERS, wanted) as opened:
        trickle(running, 3, 5)
        return repeated(effort, window)["us"]


# ---------------------------------------------------------------------- many connections


def idle(contender: Contender, effort: Effort) -> Figures:
    """10,000 connections that wait: how fast they come, what they hold, what their heartbeats cost."""
    with contender.start(Job(heartbeat_seconds=HEARTBEAT_SECONDS)) as running:
        with clients(running, 10, [[0]]):
            trickle(running, 2, 10)
        resident, kernel = resident_bytes(running.pids), kernel_bytes()
        begin = time.monotonic()
        with clients(running, MANY, [[0]], settles=False) as opened:
            opened.until(connected=MANY)
            seconds = time.monotonic() - begin
            opened.settle()
            with spending(running, opened) as spent:
                time.sleep(HEARTBEAT_SECONDS)
            return {
                "connects_per_second": [MANY / seconds],
                "resident_kib": [(resident_bytes(running.pids) - resident) / MANY / 1024],
                "kernel_kib": [(kernel_bytes() - kernel) / MANY / 1024],
                "idle_cpu_percent": [spent[0].server / spent[0].wall * 100],
                "others_busy": [spent[0].others_busy],
            }


def storm(contender: Contender, effort: Effort) -> Figures:
    """10,000 clients come back at once and want the same 1,000 events."""
    wanted = MANY * STORM_EVENTS
    with contender.start(Job()) as running:
        if running.replay is None:
            raise CannotError("keeps no history that a stream could resume from")
        running.publisher.burst(0, [unstamped()] * STORM_EVENTS)
        with _returning(running, 1) as opened:
            opened.until(frames=STORM_EVENTS, seconds=20)
        with spending(running) as spent, _returning(running, MANY) as opened:
            begin = time.monotonic()
            while opened.frames < wanted and time.monotonic() - begin < STORM_SECONDS:
                time.sleep(0.02)
            seconds, frames, closed = time.monotonic() - begin, opened.frames, opened.closed
    return {
        "seconds": [seconds],
        "percent": [min(100.0, 100 * frames / wanted)],
        "closed": [float(closed)],
        "whole_us": [spent[0].server / max(1, frames) * 1e6],
    }


def _returning(running: Running, number: int) -> AbstractContextManager[Load]:
    """Clients that want everything from the first event on."""
    assert running.replay is not None
    return load(
        running,
        number,
        [running.replay()],
        settles=False,
        marked=True,
        more_ports=running.more_ports,
    )


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
