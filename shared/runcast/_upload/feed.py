"""One run on its way to a server: how far it got, and what it waits for.

Nothing is noted about how far it got: the server says so. Only the feeder's thread calls `step` and
`beat`; everything else may be called from any thread, and takes no lock that is held for long.
"""

import contextlib
import logging
import os
import time
from collections.abc import Callable

from runcast import errors
from runcast._recording import files, locks
from runcast._recording.run_directory import RunDirectory
from runcast._recording.spool import Overflow, Portion, SpoolReader
from runcast._support.backoff import Backoff
from runcast._support.fork_safety import no_fork
from runcast._upload.uplink import Stopped, Uplink
from runcast.client.clients import Client
from runcast.contract import HEARTBEAT_SECONDS, SPOOL_FILE

logger = logging.getLogger("runcast")

POLL_SECONDS = 0.25
OTHERS_SECONDS = 1.0
"""How often a run that another process feeds is looked at."""


class Feed:
    """A run that is fed. `is_cancelled`: the server says that someone cancelled it."""

    def __init__(
        self,
        directory: RunDirectory,
        overflow: Callable[[], Overflow] = Overflow,
        *,
        heartbeat_seconds: float | None = HEARTBEAT_SECONDS,
    ) -> None:
        self.directory = directory
        self.heartbeat_seconds = heartbeat_seconds
        self.is_cancelled = False
        self.is_known = False
        """Whether the server has the run."""
        self.is_over = False
        """Whether nothing more will be sent."""
        self.is_fed_by_another = False
        self.is_woken = False
        self.has_moved = False
        """Whether the server took something in the last step."""
        self.retry_at = 0.0
        self.next_look = 0.0
        self.next_beat = 0.0
        self.failure: str | None = None
        """Why the run can't be fed at all."""
        self._promised_until: float | None = None
        self._is_finished = False
        self._is_left = False
        self._has_ended = False
        self._has_told = False
        self._uplink: Uplink | None = None
        self._backoff = Backoff()
        self._reader = SpoolReader(directory.spool, overflow)
        self._lock: int | None = None
        self._locked = (0, 0)
        """Device and inode of what is locked."""

    def promise(self, seconds: float) -> None:
        """Nothing may be heard for so long."""
        self._promised_until = time.monotonic() + seconds

    def heard(self) -> None:
        """The program said something: what it promised is fulfilled."""
        self._promised_until = None

    def finish(self) -> None:
        """Nothing will follow: the server may close the log, and no heartbeat is needed."""
        self._is_finished = True

    def leave(self) -> None:
        """This process says no more; the run goes on."""
        self._is_left = True

    def unsent(self) -> int:
        """Bytes that the server doesn't have yet; 0 where they are another process's to send."""
        if self.is_fed_by_another:
            return 0
        try:
            return max(self._reader.unread(), 0)
        except OSError:
            return 0

    @property
    def is_sent(self) -> bool:
        """Whether the server has everything, and knows that it ended if it has."""
        return self.is_over or (
            self.unsent() == 0 and (self._has_ended or not self._is_finished or not self.is_known)
        )

    @property
    def is_done(self) -> bool:
        """Whether it need not be fed any more."""
        return self.is_over or (
            (self._is_left or self._has_ended or (self.is_fed_by_another and self._is_finished))
            and self.unsent() == 0
        )

    def is_due(self, now: float) -> bool:
        """Whether a step is worth while."""
        return now >= self.retry_at and (self.is_woken or now >= self.next_look)

    def step(self, client: Client) -> bool:
        """Sends the next portion; True if there may be more at once.

        Raises `Unreachable`. What the server answers of this run alone is this run's matter: it is tried
        again later, or never.
        """
        self.is_woken = self.has_moved = False
        if not self._take_lock():
            self.next_look = time.monotonic() + OTHERS_SECONDS
            return False
        try:
            has_more = self._send(self._opened(client))
            self._backoff.reset()
            self._has_told = False
            self.next_look = 0.0 if has_more else time.monotonic() + POLL_SECONDS
            return has_more
        except Stopped as error:
            self._give_up(str(error))
        except errors.Unreachable:
            raise
        except FileNotFoundError as error:
            self._give_up(str(error))
        except (errors.RuncastError, OSError) as error:
            self._postpone(error)
        return False

    def beats(self, now: float) -> bool:
        """Whether a heartbeat is due."""
        return (
            self.heartbeat_seconds is not None
            and self.is_known
            and not self.is_fed_by_another
            and not (self._is_finished or self._is_left or self.is_over or self.is_cancelled)
            and now >= self.next_beat
        )

    def beat(self) -> None:
        """Says that the run lives; learns whether it was cancelled."""
        if self._uplink is not None and self._uplink.heartbeat(self._promise()):
            self.is_cancelled = True

    def let_go(self) -> None:
        """Gives the run's lock to anyone who wants to feed it."""
        with no_fork:
            self.forget_lock()

    def forget_lock(self) -> None:
        """The same in a child that was just forked, where no other thread is."""
        fd, self._lock = self._lock, None
        if fd is not None:
            # The host may have closed it, as daemons do, and the number is that of a file of its own then.
            with contextlib.suppress(OSError):
                if _identity(fd) == self._locked:
                    os.close(fd)

    @property
    def holds_lock(self) -> bool:
        return self._lock is not None

    def _opened(self, client: Client) -> Uplink:
        if self._uplink is None or self._uplink.client is not client:
            uplink = Uplink(client, self.directory, self.directory.read_run())
            uplink.open()
            self._arrived(uplink.cursor(SPOOL_FILE))
            self._uplink, self.is_known = uplink, True
            self.next_beat = time.monotonic() + (self.heartbeat_seconds or 0)
        return self._uplink

    def _send(self, uplink: Uplink) -> bool:
        portion = self._reader.read()
        if portion.lines:
            before = self._reader.offset
            self._arrived(uplink.send(SPOOL_FILE, portion))
            # A server that took nothing is asked again later, not all the time.
            return self._reader.offset != before
        if self._is_finished and not self._has_ended:
            self._end(uplink, portion)
        return False

    def _end(self, uplink: Uplink, portion: Portion) -> None:
        uplink.send(SPOOL_FILE, portion, closed={"reason": "status"})
        self._has_ended = self.has_moved = True

    def _arrived(self, needed: tuple[int, int]) -> None:
        """Goes to where the server is: on, or back if it lost lines (go-back-N)."""
        line, offset = needed
        end = self._reader.offset + self._reader.unread()
        if offset > end:
            raise Stopped(
                f"the server holds another spool of this run ({offset} bytes, here {end})"
            )
        self.has_moved = self.has_moved or offset > self._reader.offset
        self._reader.seek(line, offset)

    def _take_lock(self) -> bool:
        """Whether this process may feed the run: one at a time does."""
        if self._lock is None:
            try:
                with no_fork:
                    self._lock = self._open_locked()
            except PermissionError:  # Windows opens no directories
                return True
            except OSError as error:
                self._give_up(str(error))
                return False
        self.is_fed_by_another = self._lock is None
        return self._lock is not None

    def _open_locked(self) -> int | None:
        """The run's directory, open and locked; None while another process holds its lock."""
        fd = os.open(self.directory.path, os.O_RDONLY | files.FLAGS)
        if locks.try_lock(fd):
            self._locked = _identity(fd)
            return fd
        os.close(fd)
        return None

    def _promise(self) -> float | None:
        if self._promised_until is None:
            return None
        left = self._promised_until - time.monotonic()
        return left if left > 0 else None

    def _give_up(self, reason: str) -> None:
        self.is_over = True
        self.failure = reason
        logger.warning("%s is not fed any more: %s", self.directory.path, reason)

    def _postpone(self, error: Exception) -> None:
        if not self._has_told:
            logger.warning("%s waits for the server: %s", self.directory.path, error)
            self._has_told = True
        wait = self._backoff.next_seconds(getattr(error, "retry_after_seconds", None))
        self.retry_at = time.monotonic() + wait


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
