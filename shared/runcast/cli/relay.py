"""Bytes from a command's outputs to ours, at our reader's pace, and what was typed the other way.

Nothing here blocks: a reader that is slow, a descriptor that someone made non-blocking, a terminal
that is stopped hold up neither signals nor the other streams. A `Flow` holds at most `HELD_BYTES` that
its target doesn't take yet; then it reads no more, and the writer waits, as it would have to alone.
"""

import errno
import os
import select
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

READ_BYTES = 256 * 1024
HELD_BYTES = 256 * 1024
WRITE_BYTES = 4_096
"""What can be written without blocking where `poll` says that a descriptor is ready: PIPE_BUF."""

_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR
_WRITABLE = select.POLLOUT | select.POLLHUP | select.POLLERR

Heard = Callable[[bytes], None]


def _ignore(_: bytes) -> None:
    pass


@dataclass(eq=False)
class Flow:
    """One way. `inlet` must be non-blocking. `heard` is told what came, once it is on its way.

    `trouble` is the error that ended the target; a target without a reader makes the writer meet the
    same, because the inlet is closed.
    """

    inlet: int
    target: int
    heard: Heard = _ignore
    keeps_inlet: bool = False
    """The inlet isn't ours to close: a keyboard."""
    is_open: bool = True
    is_dry: bool = False
    """Whether the last look found nothing to read."""
    bytes_read: int = 0
    trouble: OSError | None = None
    written_at: float = 0.0
    """When the target last took something, on the monotonic clock."""
    _held: bytearray = field(default_factory=bytearray)
    _write_bytes: int = 0

    def __post_init__(self) -> None:
        mode = os.fstat(self.target).st_mode
        self._write_bytes = HELD_BYTES if stat.S_ISREG(mode) else WRITE_BYTES

    @property
    def is_flushed(self) -> bool:
        """Whether everything that was read is written."""
        return not self._held

    @property
    def may_read(self) -> bool:
        return self.is_open and len(self._held) < HELD_BYTES

    def read(self) -> None:
        """Takes what is there."""
        data = self._taken()
        if data:
            self._held += data
            self.write()
            self.heard(data)
        elif data is not None:
            self.close()

    def _taken(self) -> bytes | None:
        """What can be read now; empty at the end, None where nothing has come yet."""
        try:
            data = os.read(self.inlet, READ_BYTES)
        except BlockingIOError:
            self.is_dry = True
            return None
        except OSError:
            data = b""  # EIO: the terminal's last user is gone
        self.is_dry = False
        self.bytes_read += len(data)
        return data

    def write(self) -> None:
        """Writes as much as can be written without waiting."""
        try:
            size = os.write(self.target, memoryview(self._held)[: self._write_bytes])
            del self._held[:size]
            self.written_at = time.monotonic()
        except BlockingIOError:
            return
        except OSError as error:
            self._held.clear()
            self.trouble = error
            self.close()

    def close(self) -> None:
        """Reads no more; what is held is still written."""
        if self.is_open:
            self.is_open = False
            if not self.keeps_inlet:
                os.close(self.inlet)

    def is_lost(self) -> bool:
        """Whether the target failed for another reason than a reader that went away."""
        gone = (errno.EPIPE, errno.ESHUTDOWN, errno.ECONNRESET, errno.EIO)
        return self.trouble is not None and self.trouble.errno not in gone


def step(flows: Sequence[Flow], seconds: float, *others: int) -> set[int]:
    """Moves what can be moved, waiting at most so long for something; answers which descriptors were
    ready, those of `others` among them."""
    poll = select.poll()
    wanted: dict[int, int] = dict.fromkeys(others, select.POLLIN)
    for flow in flows:
        if flow.may_read:
            wanted[flow.inlet] = wanted.get(flow.inlet, 0) | select.POLLIN
        if not flow.is_flushed:
            wanted[flow.target] = wanted.get(flow.target, 0) | select.POLLOUT
    for descriptor, events in wanted.items():
        poll.register(descriptor, events)
    ready = dict(poll.poll(seconds * 1_000))
    for flow in flows:
        if not flow.is_flushed and ready.get(flow.target, 0) & _WRITABLE:
            flow.write()
        if flow.may_read and ready.get(flow.inlet, 0) & _READABLE:
            flow.read()
        elif flow.is_open:
            flow.is_dry = flow.may_read
    return set(ready)
