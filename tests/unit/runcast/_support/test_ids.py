"""UUIDs grow, whatever the clock does, and hold the bits of RFC 9562."""

import itertools
import os
import threading
import uuid

from runcast._support.ids import MonotonicUUID7, uuid7


def test_carries_version_variant_and_the_clocks_millisecond() -> None:
    made = MonotonicUUID7(clock_ns=lambda: 0x017F22E279B0 * 1_000_000)()
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.hex.startswith("017f22e279b0")


def test_grows_within_a_millisecond_and_when_the_clock_runs_back() -> None:
    clock = itertools.chain([5_000_000] * 5_000, [1_000_000] * 5_000, [9_000_000])
    source = MonotonicUUID7(clock_ns=lambda: next(clock))
    made = [source() for _ in range(10_001)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_goes_on_to_the_next_millisecond_when_one_is_full() -> None:
    source = MonotonicUUID7(clock_ns=lambda: 1_000_000)
    first = source()
    source._random = (1 << 74) - 1
    second = source()
    assert second > first
    assert second.hex.startswith("000000000002")


def test_threads_get_different_ids() -> None:
    made: list[uuid.UUID] = []
    threads = [
        threading.Thread(target=lambda: made.extend(uuid7() for _ in range(2_000)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8_000


def test_a_forked_child_makes_other_ids_even_if_the_lock_was_held() -> None:
    source = MonotonicUUID7(clock_ns=lambda: 1_000_000)
    source()
    reader, writer = os.pipe()
    with source._lock:
        child = os.fork()
        if child == 0:
            os.write(writer, source().bytes)
            os._exit(0)
    os.waitpid(child, 0)
    assert uuid.UUID(bytes=os.read(reader, 16)) != source()
