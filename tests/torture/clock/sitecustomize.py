"""A process whose wall clock is set from outside while it runs.

Python loads this at its start where PYTHONPATH names this directory. The seconds by which the clock is off
stand as a double in the file that TORTURE_CLOCK names, mapped into memory: whoever writes there sets the
clock. Monotonic clocks go on as they are, as they do when an administrator or NTP sets a real one.
"""

import datetime
import mmap
import os
import struct
import time
from pathlib import Path

_DOUBLE = struct.Struct("d")
_REAL = datetime.datetime
_MAKERS = ("fromtimestamp", "utcfromtimestamp", "fromisoformat", "combine", "strptime")


class _Datetime(type):
    """What is a moment stays one, whoever made it."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _REAL)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, _REAL)


def shift(path: Path) -> None:
    """Puts the clock of this process under the control of the file."""
    with path.open("r+b") as file:
        offset = mmap.mmap(file.fileno(), _DOUBLE.size)
    real_time, real_time_ns = time.time, time.time_ns

    def shifted_time() -> float:
        seconds: float = _DOUBLE.unpack_from(offset)[0]
        return real_time() + seconds

    class Shifted(_REAL, metaclass=_Datetime):
        """Makes the usual moments; only `now` is another one."""

        def __new__(cls, *parts, **named):  # type: ignore[no-untyped-def]
            return _REAL(*parts, **named)

        @classmethod
        def now(cls, tz=None):  # type: ignore[no-untyped-def]
            return _REAL.fromtimestamp(shifted_time(), tz)

        @classmethod
        def utcnow(cls):  # type: ignore[no-untyped-def]
            return _REAL.fromtimestamp(shifted_time(), datetime.UTC).replace(tzinfo=None)

        today = now

    for name in _MAKERS:
        setattr(Shifted, name, getattr(_REAL, name))
    time.time = shifted_time
    time.time_ns = lambda: real_time_ns() + int(_DOUBLE.unpack_from(offset)[0] * 1e9)
    datetime.datetime = Shifted  # type: ignore[misc]


if named := os.environ.get("TORTURE_CLOCK"):
    shift(Path(named))
