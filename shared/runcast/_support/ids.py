"""Identifiers: UUID version 7, ordered by time (RFC 9562, section 5.7)."""

import os
import threading
import time
import uuid
from collections.abc import Callable

_RANDOM_BITS = 74  # rand_a (12) and rand_b (62) taken as one number
_STEP_BITS = 32
_NEW_MILLISECOND_BITS = _RANDOM_BITS - 1  # the top bit stays clear: room to count within it


class MonotonicUUID7:
    """Makes UUIDs that only ever grow, within one process, from any thread.

    Within a millisecond, and while the clock stands or runs back, the random part of the last
    one grows by a random step (RFC 9562, section 6.2, method 2). A forked child steps on by
    other random amounts than its parent. A signal handler that interrupts the making of an id gets one
    that is random alone: unique, but in no order with that one.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._lock = threading.RLock()
        self._is_making = False
        self._millisecond = 0
        self._random = 0
        if hasattr(os, "register_at_fork"):
            # A fork may copy the lock while another thread holds it.
            os.register_at_fork(after_in_child=self._renew_lock)

    def __call__(self) -> uuid.UUID:
        with self._lock:
            if self._is_making:
                return _assemble(self._clock_ns() // 1_000_000, _random(_RANDOM_BITS))
            self._is_making = True
            try:
                self._step(self._clock_ns() // 1_000_000)
                return _assemble(self._millisecond, self._random)
            finally:
                self._is_making = False

    def _step(self, now: int) -> None:
        if now > self._millisecond:
            self._millisecond, self._random = now, _random(_NEW_MILLISECOND_BITS)
        else:
            self._random += 1 + _random(_STEP_BITS)
        if self._random >> _RANDOM_BITS:
            self._millisecond += 1
            self._random = _random(_NEW_MILLISECOND_BITS)

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()
        self._is_making = False


def _random(bits: int) -> int:
    return int.from_bytes(os.urandom((bits + 7) // 8)) >> (-bits % 8)


def _assemble(millisecond: int, random: int) -> uuid.UUID:
    value = (millisecond & (1 << 48) - 1) << 80
    value |= 0x7 << 76
    value |= (random >> 62) << 64
    value |= 0b10 << 62
    value |= random & (1 << 62) - 1
    return uuid.UUID(int=value)


uuid7 = MonotonicUUID7()
"""The process's own source: ids made by one process sort in the order in which it made them."""
