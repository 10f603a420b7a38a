"""Runs a command as if we weren't there, and listens.

What the command writes goes on to our own stdout and stderr, byte for byte and at once, and to
any listener. Where ours is a terminal the command gets one too, of the same size, so that colours
and progress bars work; what is closed stays closed, and every other descriptor is handed on.

Three ways to share keyboard and signals:
- stdin and stdout are the terminal in whose foreground we are: the command is a job on a terminal of
  its own (`pty_job`), and what is typed goes there;
- there is a terminal otherwise (stdin or stdout elsewhere, or we are in the background): the command
  stays in our process group, so the terminal's signals reach both of us, and /dev/tty is its own;
- there is none: the command has its own process group, and signals are passed on.
"""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runcast.cli import channels, jobs, relay, terminal_size
from runcast.cli.channels import PIPE_BYTES
from runcast.cli.jobs import DirectJob
from runcast.cli.passed_signals import STOPS, PassedSignals
from runcast.cli.pty_job import PtyJob, is_foreground
from runcast.cli.relay import Flow

LOOK_SECONDS = 0.2
LINGER_SECONDS = 1.0
"""How long output is still recorded that processes left behind by the ended command write."""
KILL_AFTER_SECONDS = 10.0
UNHEARD_BYTES = 8 * 1024 * 1024
"""Output that may wait to be listened to while the command is busy writing."""

QUIET_SECONDS = 0.001
LATE_SECONDS = 0.05
BITE_BYTES = 32 * 1024
"""What is written is told when the command is quiet for a moment, or has waited for 50 ms, in bites: each
may be thousands of lines, and takes its time."""

LEFTOVER = Path(__file__).parent / "leftover.py"
OF_TERMINAL = (signal.SIGINT, signal.SIGQUIT)

Listen = Callable[[str, bytes], None]


@dataclass(frozen=True)
class Ended:
    """How a command ended: `exit_code` as a shell tells it, `signal` if one ended it."""

    exit_code: int
    signal: int | None
    was_stopped: bool
    """Whether it was asked to stop, by us or through us."""
    trouble: OSError | None = None
    """Why not all of its output could be passed on, unless its reader went away."""


class Child:
    """A command that runs. `listen` is told (source, bytes) of everything that it writes.

    `splits` tells stdout from stderr even where both lead to the same place.
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        listen: Listen,
        signals: PassedSignals,
        *,
        splits: bool = False,
    ) -> None:
        """Starts it; from then on it is told `signals`. Raises `OSError` if it can't be started."""
        self._listen = listen
        self._unheard: deque[tuple[str, bytes]] = deque()
        self._unheard_bytes = 0
        self._unheard_since = 0.0
        self._stopped_at: float | None = None
        self._kill_at: float | None = None
        self._ended_at: float | None = None
        has_keyboard = os.isatty(0) and os.isatty(1) and is_foreground()
        stdout, stderr = channels.made(has_keyboard=has_keyboard, splits=splits)
        used = [c for c in dict.fromkeys((stdout, stderr)) if c is not None]
        try:
            self._job = jobs.start(argv, env, stdout, stderr, has_keyboard=has_keyboard)
        except OSError:
            for channel in used:
                os.close(channel.ours)
            raise
        finally:
            for channel in used:
                os.close(channel.theirs)
        self._channels = used
        self._flows = [
            Flow(
                channel.ours,
                channel.target,
                functools.partial(self._hear, channel.source),
                keeps_inlet=channel.is_terminal,
            )
            for channel in used
        ]
        signals.give_to(self._signalled)

    def run(
        self, is_cancelled: Callable[[], bool], begin: Callable[[], None] = lambda: None
    ) -> Ended:
        """Relays until the command has ended and its output is through.

        `begin` is called first, and may take a while.
        `is_cancelled` is asked about five times a second; when it says so the command is asked to
        stop, and made to after 10 s.
        """
        pty = self._job if isinstance(self._job, PtyJob) else None
        if pty is not None:
            pty.begin()
        try:
            begin()
            self._relay(is_cancelled, pty)
        finally:
            self._hear_all()
            if pty is not None:
                pty.end()
            self._leave()
        status = self._job.poll()
        assert status is not None
        code = os.waitstatus_to_exitcode(status)
        ended_by = -code if code < 0 else None
        trouble = next((flow.trouble for flow in self._flows if flow.is_lost()), None)
        was_stopped = self._stopped_at is not None
        return Ended(128 - code if code < 0 else code, ended_by, was_stopped, trouble)

    def _relay(self, is_cancelled: Callable[[], bool], pty: PtyJob | None) -> None:
        looked_at = 0.0
        while not self._is_through():
            flows = [*self._flows, *([pty.keyboard] if pty and self._flows[0].is_open else [])]
            others = (pty.control.fileno(),) if pty is not None and pty.poll() is None else ()
            ready = relay.step(flows, self._patience(), *others)
            if pty is not None:
                pty.attend(ready)
            if not ready or self._is_late():
                self._hear_some()
            if (now := time.monotonic()) - looked_at > LOOK_SECONDS:
                looked_at = now
                self._heed(is_cancelled, now)
            if self._ended_at is None and self._job.poll() is not None:
                self._ended_at = now
                for flow in self._flows:
                    flow.bytes_read = 0

    def _patience(self) -> float:
        """How long nothing may happen before we look again: an end without output is seen soon."""
        if self._unheard:
            return QUIET_SECONDS
        return LOOK_SECONDS if any(flow.is_open for flow in self._flows) else 0.01

    def _is_through(self) -> bool:
        """Whether the command has ended and all that it wrote has gone where it should."""
        if self._ended_at is None:
            return False
        is_late = time.monotonic() - self._ended_at > LINGER_SECONDS
        has_all = all(
            not flow.is_open or (is_late and (flow.is_dry or flow.bytes_read > PIPE_BYTES))
            for flow in self._flows
        )
        is_flushed = all(flow.is_flushed for flow in self._flows)
        return (has_all and is_flushed) or (not is_flushed and self._is_left_unread(self._ended_at))

    def _is_left_unread(self, ended_at: float) -> bool:
        """Whether we were asked to stop and the reader of our output takes nothing: then it isn't waited
        for. A signal long before the end (SIGHUP: read the configuration again) was no such request."""
        stopped_at = self._stopped_at
        if stopped_at is None or ended_at - stopped_at > KILL_AFTER_SECONDS:
            return False
        moved_at = max(ended_at, stopped_at, *(flow.written_at for flow in self._flows))
        return time.monotonic() - moved_at > LINGER_SECONDS

    def _leave(self) -> None:
        """Hands what processes that were left behind still write to `leftover`."""
        pairs = [(flow.inlet, flow.target) for flow in self._flows if flow.is_open]
        for channel in self._channels:
            if channel.is_terminal:
                channels.stop_translating(channel.ours)
        if pairs:
            with contextlib.suppress(OSError):
                subprocess.Popen(
                    [sys.executable, "-IS", str(LEFTOVER), *(f"{i}:{o}" for i, o in pairs)],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[inlet for inlet, _ in pairs],
                    start_new_session=True,
                    cwd="/",
                )
        for channel, flow in zip(self._channels, self._flows, strict=True):
            flow.close()
            if channel.is_terminal:
                os.close(channel.ours)

    # Listening

    def _hear(self, source: str, data: bytes) -> None:
        if not self._unheard:
            self._unheard_since = time.monotonic()
        self._unheard.append((source, data))
        self._unheard_bytes += len(data)

    def _is_late(self) -> bool:
        """Whether what was written has waited long enough, busy or not."""
        return bool(self._unheard) and (
            self._unheard_bytes > UNHEARD_BYTES
            or time.monotonic() - self._unheard_since > LATE_SECONDS
        )

    def _hear_some(self) -> None:
        """Tells who listens a little: the command may be waiting for us to read on."""
        if self._unheard:
            source, data = self._unheard.popleft()
            if len(data) > BITE_BYTES:
                self._unheard.appendleft((source, data[BITE_BYTES:]))
                data = data[:BITE_BYTES]
            self._unheard_bytes -= len(data)
            self._listen(source, data)

    def _hear_all(self) -> None:
        while self._unheard:
            self._hear_some()

    # Signals

    def _heed(self, is_cancelled: Callable[[], bool], now: float) -> None:
        if self._kill_at is None and is_cancelled():
            self._kill_at = now + KILL_AFTER_SECONDS
            self._stop(signal.SIGTERM)
        elif self._kill_at is not None and now > self._kill_at:
            self._kill_at = now + KILL_AFTER_SECONDS
            self._stop(signal.SIGKILL)

    def _stop(self, number: int) -> None:
        self._stopped_at = time.monotonic()
        self._job.send(number, to_group=True)
        self._job.send(signal.SIGCONT, to_group=True)

    def _signalled(self, number: int) -> None:
        """What is sent to us is meant for the command."""
        if number == signal.SIGWINCH:
            self._resize()
        elif number in OF_TERMINAL:
            self._to_group(number)
        else:
            self._to_command(number)

    def _to_command(self, number: int) -> None:
        self._job.send(number)
        if number in STOPS:
            self._stopped_at = time.monotonic()
            self._job.send(signal.SIGCONT)

    def _to_group(self, number: int) -> None:
        """The terminal has sent its signal to the whole group, so in a shared one we needn't."""
        self._stopped_at = time.monotonic()
        if not (isinstance(self._job, DirectJob) and self._job.shares_group):
            self._job.send(number, to_group=True)

    def _resize(self) -> None:
        for channel, flow in zip(self._channels, self._flows, strict=True):
            if channel.is_terminal and flow.is_open:
                terminal_size.copy(channel.target, channel.ours)
        if not isinstance(self._job, PtyJob):
            self._job.send(signal.SIGWINCH)
