"""Runs a command as if we weren't there, and listens.

What the command writes goes on to our own stdout and stderr, byte for byte and at once, and to
whoever listens. Where ours is a terminal the command gets one too (a pseudo-terminal of the same
size), so that colours and progress bars work; stdout and stderr have one each, so that they can be
told apart.

Three ways to share the keyboard:
- our stdin and stdout are terminals: the command leads a session on its own terminal, and what is
  typed goes there as it is, Ctrl-C included (as `script` does it);
- only stdin is a terminal: the command stays in our process group, and the terminal's signals reach
  both of us;
- stdin is none: the command has its own process group, and signals are passed on.
"""

import contextlib
import fcntl
import os
import pty
import selectors
import signal
import subprocess
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

READ_BYTES = 64 * 1024
LOOK_SECONDS = 0.2
LINGER_SECONDS = 1.0
"""How long output is awaited that children of the ended command may still write."""
KILL_AFTER_SECONDS = 10.0

PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
OF_TERMINAL = (signal.SIGINT, signal.SIGQUIT)

Listen = Callable[[str, bytes], None]


@dataclass(frozen=True)
class Ended:
    """How a command ended: `exit_code` as a shell tells it, `signal` if one ended it."""

    exit_code: int
    signal: signal.Signals | None
    was_stopped: bool
    """Whether it was asked to stop, by us or through us."""


@dataclass
class Outlet:
    """One of the command's outputs, on its way to ours."""

    source: str
    inlet: int
    target: int
    is_open: bool = True


class Child:
    """A command that runs. `listen` is told (source, bytes) of everything that it writes."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], listen: Listen) -> None:
        """Starts it. Raises `OSError` if it can't be started."""
        self._listen = listen
        self._has_keyboard = os.isatty(0) and os.isatty(1)
        self._shares_group = os.isatty(0) and not os.isatty(1)
        self._was_stopped = False
        self._kill_at: float | None = None
        stdout, stdout_end = _channel(1)
        stderr, stderr_end = _channel(2)
        self._outlets = [Outlet("stdout", stdout, 1), Outlet("stderr", stderr, 2)]
        try:
            self._process = subprocess.Popen(
                argv,
                env=dict(env),
                stdin=stdout_end if self._has_keyboard else None,
                stdout=stdout_end,
                stderr=stderr_end,
                start_new_session=self._has_keyboard,
                process_group=None if self._has_keyboard or self._shares_group else 0,
                preexec_fn=_take_terminal if self._has_keyboard else None,
            )
        except OSError:
            os.close(stdout)
            os.close(stderr)
            raise
        finally:
            os.close(stdout_end)
            os.close(stderr_end)

    def run(self, is_cancelled: Callable[[], bool]) -> Ended:
        """Relays until the command has ended and its output is through.

        `is_cancelled` is asked about five times a second; when it says so the command is asked to
        stop, and made to after 10 s.
        """
        with self._signals(), self._keyboard(), selectors.DefaultSelector() as selector:
            for outlet in self._outlets:
                selector.register(outlet.inlet, selectors.EVENT_READ, outlet)
            if self._has_keyboard:
                selector.register(0, selectors.EVENT_READ, None)
            self._relay(selector, is_cancelled)
            code = self._process.wait()
        for outlet in self._outlets:
            if outlet.is_open:
                os.close(outlet.inlet)
        ended_by = signal.Signals(-code) if code < 0 else None
        return Ended(128 - code if code < 0 else code, ended_by, self._was_stopped)

    def _relay(self, selector: selectors.BaseSelector, is_cancelled: Callable[[], bool]) -> None:
        last_heard = time.monotonic()
        while any(outlet.is_open for outlet in self._outlets):
            for key, _ in selector.select(LOOK_SECONDS):
                if key.data is None:
                    self._type(selector)
                else:
                    self._pass_on(selector, key.data)
                    last_heard = time.monotonic()
            self._heed(is_cancelled)
            has_ended = self._process.poll() is not None
            if has_ended and time.monotonic() - last_heard > LINGER_SECONDS:
                return

    def _pass_on(self, selector: selectors.BaseSelector, outlet: Outlet) -> None:
        try:
            data = os.read(outlet.inlet, READ_BYTES)
            if data:
                _write(outlet.target, data)
        except OSError:
            # EIO: the terminal's last user is gone. EPIPE: nobody reads ours; closing the inlet
            # lets the command meet the same.
            data = b""
        if data:
            self._listen(outlet.source, data)
        else:
            selector.unregister(outlet.inlet)
            os.close(outlet.inlet)
            outlet.is_open = False

    def _type(self, selector: selectors.BaseSelector) -> None:
        data = os.read(0, READ_BYTES)
        if data and self._outlets[0].is_open:
            _write(self._outlets[0].inlet, data)
        else:
            selector.unregister(0)

    def _heed(self, is_cancelled: Callable[[], bool]) -> None:
        now = time.monotonic()
        if self._kill_at is None and is_cancelled():
            self._kill_at = now + KILL_AFTER_SECONDS
            self._send_to_group(signal.SIGTERM)
        elif self._kill_at is not None and now > self._kill_at:
            self._kill_at = now + KILL_AFTER_SECONDS
            self._send_to_group(signal.SIGKILL)

    def _send_to_group(self, number: int) -> None:
        self._was_stopped = True
        with contextlib.suppress(ProcessLookupError):
            if self._shares_group:
                self._process.send_signal(number)
            else:
                os.killpg(self._process.pid, number)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Passes signals on; those of the terminal to the whole group, like the terminal does."""
        before: dict[signal.Signals, Any] = {}

        def to_command(number: int, _: FrameType | None) -> None:
            self._was_stopped = self._was_stopped or number in (signal.SIGTERM, signal.SIGHUP)
            self._process.send_signal(number)

        def to_group(number: int, _: FrameType | None) -> None:
            self._was_stopped = True
            if not self._shares_group:
                self._send_to_group(number)

        def resize(number: int, _: FrameType | None) -> None:
            for outlet in self._outlets:
                if outlet.is_open and os.isatty(outlet.target):
                    _copy_size(outlet.target, outlet.inlet)

        handlers = dict.fromkeys(PASSED_ON, to_command)
        handlers |= dict.fromkeys(OF_TERMINAL, to_group)
        handlers[signal.SIGWINCH] = resize
        for each, handler in handlers.items():
            before[each] = signal.signal(each, handler)
        try:
            yield
        finally:
            for each, former in before.items():
                signal.signal(each, former)

    @contextlib.contextmanager
    def _keyboard(self) -> Iterator[None]:
        """Hands keys on as they are; the command's own terminal makes sense of them."""
        if not self._has_keyboard:
            yield
            return
        before = termios.tcgetattr(0)
        tty.setraw(0)
        try:
            yield
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, before)


def _channel(target: int) -> tuple[int, int]:
    """(our end, the command's end): a terminal like `target` if that is one, else a pipe."""
    if not os.isatty(target):
        return os.pipe()
    ours, theirs = pty.openpty()
    with contextlib.suppress(termios.error):
        termios.tcsetattr(theirs, termios.TCSANOW, termios.tcgetattr(target))
    _copy_size(target, ours)
    return ours, theirs


def _copy_size(source: int, target: int) -> None:
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(source, termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(target, termios.TIOCSWINSZ, size)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _write(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]


def explain(error: OSError, command: str) -> tuple[str, int]:
    """What to say, and the exit code, when a command can't be started."""
    if isinstance(error, FileNotFoundError):
        return f"{command}: command not found", 127
    return f"{command}: {error.strerror or error}", 126
