"""The run behind a tracker: it begins, records, ends, and is fed to a server.

No method raises, and none but `end` and `flush` waits for anything but a file. All may be called from any
thread, a signal handler, a `__del__` and a forked child (`turns`): calls of one run are done one after the
other, and what may wait for a server or for the host program's own locks comes when the turn is over.
"""

import atexit
import builtins
import functools
import importlib
import logging
import os
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runcast._recording import messages, writers
from runcast._recording.log_entries import LogEntry, log_entry
from runcast._recording.open_files import NO_DESCRIPTOR, open_files
from runcast._recording.open_run import join_run, open_run
from runcast._recording.recorder import Recorder
from runcast._recording.turns import Turns, Work
from runcast._support import acceptable
from runcast._support.encoding import as_text
from runcast._support.fork_renewal import fork_renewal
from runcast._support.never_raise import Guarded
from runcast._tracking.capture import Captured, capture
from runcast._tracking.settings import PATIENCE, Settings
from runcast._tracking.sigterm import sigterm
from runcast.contract import METRIC_POINTS, METRICS, TERMINAL_STATUSES

if TYPE_CHECKING:
    from runcast._upload.feed import Feed
    from runcast._upload.feeder import Feeder

logger = logging.getLogger("runcast")

Write = Callable[[Recorder], object]


class Session(Guarded):
    """`unsent_bytes`: what the server didn't have when the run ended."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.recorder: Recorder | None = None
        self.unsent_bytes = 0
        self.summary: dict[str, Any] = {}
        self.feeds_later = False
        """Whether the server is to be fed from `feed` on, and not from the beginning."""
        self._points: Counter[str] = Counter()
        self._turns = Turns()
        self._entries: deque[LogEntry] = deque()
        self._in_hand: list[LogEntry] = []
        self._feeder: Feeder | None = None
        self._feed: Feed | None = None
        self._has_begun = False
        self._has_ended = False
        self._process = 0
        self._before_end: list[Write] = []
        self._captured: Captured | None = None
        fork_renewal.add(self)

    @property
    def is_live(self) -> bool:
        """Whether the run has begun and this process has not ended it."""
        return self.recorder is not None and not self._has_ended

    @property
    def is_fed(self) -> bool:
        """Whether there is a server that hears of the run."""
        return self._feed is not None

    @property
    def is_cancelled(self) -> bool:
        return self._feed is not None and self._feed.is_cancelled

    def begin(self) -> None:
        """Begins the run, once."""
        self._turns.take(self._begin)

    def feed(self) -> None:
        """Begins to feed the server, of a run that `feeds_later`."""
        self.feeds_later = False
        if self.is_live and not self.is_fed:
            self._turns.take(self._feed_now)

    def record(self, write: Write) -> None:
        """Begins the run if that's needed, and writes something into it."""
        self._turns.take(functools.partial(self._record, write))

    def log(
        self,
        message: Any,
        level: Any,
        agent_name: Any = None,
        event_type: Any = None,
        payload: Any = None,
        ts: Any = None,
    ) -> None:
        """Writes a log entry, as `log_entry` takes it, together with those of other threads that wait."""
        if agent_name is None or (type(agent_name) is str and not agent_name):
            agent_name = self.settings.fields["agent_name"]
        recorder = self.recorder
        if recorder is None:
            self.begin()
            recorder = self.recorder
            if recorder is None:
                return
        try:
            entry = log_entry(
                recorder.run_id,
                message,
                level,
                agent_name,
                event_type,
                payload,
                ts,
                recorder.is_structured,
            )
        except Exception as error:  # the SDK's outermost line, see `_record`
            self.told("record", error)
            return
        self._entries.append(entry)
        self._turns.take(self._write_entries)

    def end(
        self, status: Any, error: Any = None, *, result: Any = None, pr_url: Any = None
    ) -> None:
        """Ends the run, or this process's part in it, and waits until it is sent."""
        known = messages.status(status, TERMINAL_STATUSES)
        if known is None:
            known, error = (
                "failed",
                error if error is not None else f"finished as {acceptable.printable(status):.100}",
            )
        ended: list[Work] = []
        end = functools.partial(self._end, ended, known, error, result=result, pr_url=pr_url)
        try:
            self._turns.take(end)
        finally:
            # The caller waits, not another thread that happened to have the turn. Where this call has
            # interrupted one of the same thread, that one ends the run and waits.
            if ended:
                self._do(ended)
            else:
                self._turns.take(lambda: self._turns.afterwards(lambda: self._do(ended)))

    def flush(self, seconds: float) -> int:
        """Waits for at most so long until everything is at the server; answers the bytes that aren't."""
        feeder, feed = self._feeder, self._feed
        if feeder is None or feed is None or not feeder.is_ours:
            return 0
        return feeder.flush_for(feed, seconds)

    def takes_point(self, name: str) -> bool:
        """Whether a run keeps another point of this metric; warns of the first that it doesn't."""
        if self._points[name] >= METRIC_POINTS:
            limit = f"a run keeps {METRIC_POINTS:,} points of a metric"
        elif name not in self._points and len(self._points) >= METRICS:
            limit = f"a run has at most {METRICS} metrics"
        else:
            self._points[name] += 1
            return True
        self.told("record a point", ValueError(limit))
        return False

    def expect_next_in(self, seconds: float) -> None:
        if self._feed is not None:
            self._feed.promise(seconds)

    def before_end(self, work: Write) -> None:
        """Has something done right before the run ends."""
        self._before_end.append(work)

    def renew_after_fork(self) -> None:
        self._turns.renew()
        self._entries.clear()
        self._in_hand.clear()

    def _begin(self) -> None:
        if self._has_begun or self.settings.is_disabled:
            return
        self._has_begun = True
        try:
            self._open()
        except Exception as error:  # the SDK's outermost line: the host program must not notice
            self._tell("begin the run", error)

    def _open(self) -> None:
        if self.settings.trouble:
            self._say(self.settings.trouble)
        # Known before there is a run: a signal handler may end it as soon as it is there.
        self._process = os.getpid()
        recorder = self._opened()
        self.recorder = recorder
        atexit.register(self._abandon)
        try:
            recorder.begin()
        except OSError as error:
            self._tell("write the run's files", error)
        self._feed_now()
        self.before_end(self._write_summary)
        if self.settings.handles_signals:
            sigterm.add(self)
        if self.settings.captures:
            self._captured = capture.start(self, self._take_output)
            self.before_end(self._stop_capture)

    def _write_summary(self, recorder: Recorder) -> None:
        if self.summary:
            recorder.update(metadata={"summary": dict(self.summary)})

    def _take_output(self, source: str, text: str) -> None:
        self._turns.take(functools.partial(self._write_output, source, text))

    def _write_output(self, source: str, text: str) -> None:
        if self._captured is None or self._has_ended:
            return  # printed by another thread, after the end
        if lines := self._captured.split(source, text):
            self._record(lambda recorder: recorder.lines(source, lines))

    def _stop_capture(self, recorder: Recorder) -> None:
        for source, lines in capture.stop(self):
            recorder.lines(source, lines)

    def _opened(self) -> Recorder:
        settings = self.settings
        if settings.joins:
            joined = join_run(settings.root, settings.joins, json_logs=settings.json_logs)
            if joined is not None:
                return joined
            settings.fields["parent_run_id"] = settings.joins
        try:
            return self._open_in(settings.root)
        except (OSError, ValueError) as error:  # ValueError: no name of a folder
            if isinstance(error, OSError) and error.errno in NO_DESCRIPTOR:
                open_files.make_room()
                return self._open_in(settings.root)
            fallback = _private_folder()
            recorder = self._open_in(fallback)
            refused = acceptable.printable(settings.root)
            self._say(
                f"{refused} can't be written ({as_text(error)}): the run's files are in {fallback}; "
                "RUNCAST_RUNS_DIR names another folder"
            )
            return recorder

    def _open_in(self, root: Path) -> Recorder:
        return open_run(
            root,
            run_id=self.settings.run_id,
            project=self.settings.project,
            json_logs=self.settings.json_logs,
            resume=self.settings.resume,
            job=self.settings.job,
            warn=self._say,
            **self.settings.fields,
        )

    def _feed_now(self) -> None:
        try:
            self._start_feed()
        except Exception as error:  # the SDK's outermost line, see `_begin`
            self._tell("feed the server", error)

    def _start_feed(self) -> None:
        if self.settings.server is None or self.recorder is None or self.feeds_later:
            return
        feeding = importlib.import_module("runcast._tracking.feeding")
        self._feeder, self._feed = feeding.feed(
            self.recorder, self.settings.server, self.settings.heartbeat_seconds
        )

    def _record(self, write: Write) -> None:
        if self.recorder is None:
            self._begin()
        if self.recorder is None:
            return
        if self._has_ended:
            self._tell("record", ValueError("the run is finished: nothing is recorded any more"))
            return
        self._write(write, self.recorder)
        self._wake()

    def _write_entries(self) -> None:
        """Writes the log entries that wait, of all threads."""
        entries = self._in_hand
        while self._entries:
            entries.append(self._entries.popleft())
        if not entries or self.recorder is None:
            return  # another thread's turn has taken ours along
        if self._has_ended:
            entries.clear()
            self._record(lambda _: None)
            return
        try:
            self.recorder.write_entries(entries)
        except OSError as error:
            self._tell("write the run's files", error)
        except Exception as error:  # the SDK's outermost line, see `_record`
            self._tell("record", error)
        entries.clear()
        if self._feeder is not None:
            self._wake()

    def _write(self, write: Write, recorder: Recorder) -> None:
        try:
            write(recorder)
        except OSError as error:
            self._tell("write the run's files", error)
        except Exception as error:  # the SDK's outermost line, see above
            self._tell("record", error)

    def _wake(self) -> None:
        if self._feeder is not None and not self._feeder.is_ours:
            # A forked child has no threads of its parent's: it may have to feed what it writes.
            self._feed_now()
        if self._feed is not None and self._feeder is not None and self._feeder.is_ours:
            self._feed.heard()
            self._feeder.wake(self._feed)

    def _do(self, works: list[Work]) -> None:
        while works:
            works.pop()()

    def _end(self, ended: list[Work], status: str, error: Any, **more: Any) -> None:
        recorder = self.recorder
        if recorder is None or self._has_ended:
            return
        # What an interrupted call left, or another thread has handed in, still belongs to the run.
        self._write_entries()
        for work in self._before_end:
            self._write(work, recorder)
        is_ours = self._may_end(recorder)
        if is_ours:
            atexit.unregister(self._abandon)
        try:
            if is_ours and not recorder.is_guest:
                recorder.finish(status, error=error, **more)
            elif is_ours and status == "failed":
                recorder.log(f"A part of this run failed: {as_text(error)}", level="error")
        except OSError as trouble:
            self._tell("write the run's files", trouble)
        except Exception as trouble:  # the SDK's outermost line, see above
            self._tell("end the run", trouble)
        self._has_ended = True
        sigterm.discard(self)
        ends = is_ours and not recorder.is_guest
        ended.append(functools.partial(self._settle, recorder, ends))

    def _may_end(self, recorder: Recorder) -> bool:
        """Whether the run, or the part in it, is this process's to end. A forked child ends it where the
        process that began it is gone: a daemon leaves its parent behind."""
        if os.getpid() == self._process:
            return True
        return not recorder.is_guest and writers.is_gone(writers.read(recorder.directory.writer))

    def _settle(self, recorder: Recorder, ends: bool) -> None:
        """Sends what is left; the turn is over, so others may go on meanwhile."""
        try:
            if recorder.spool.overflow.unplaced:
                self._write(lambda recorder: recorder.flush(), recorder)
            self._send_rest(recorder, ends)
            if recorder.spool.overflow.lines:
                recorder.flush()
            recorder.close()
        except Exception as error:  # the SDK's outermost line, see above
            self.told("end the run", error)

    def _send_rest(self, recorder: Recorder, ends: bool) -> None:
        feeder, feed = self._feeder, self._feed
        if feeder is None or feed is None or not feeder.is_ours:
            return
        if ends:
            feed.finish()
        else:
            feed.leave()
        seconds = self.settings.flush_seconds
        self.unsent_bytes = feeder.flush(feed, seconds, at_most_seconds=PATIENCE * seconds)
        if self.unsent_bytes:
            path = recorder.directory.path
            logger.warning(
                "%d bytes of the run %s are not sent yet; later: runcast sync %s",
                self.unsent_bytes,
                path.name,
                path,
            )

    def _abandon(self) -> None:
        """The interpreter ends and no one said how the run did."""
        if _is_interactive():
            self.end("completed")
        else:
            self.end(*self.settings.otherwise)

    def _tell(self, doing: str, error: Exception) -> None:
        """Warns when the turn is over: a logging handler of the host's may wait for it, or write into this
        very run."""
        self._turns.afterwards(functools.partial(self.told, doing, error))

    def _say(self, text: str) -> None:
        self._turns.afterwards(functools.partial(logger.warning, "%s", text))


def _is_interactive() -> bool:
    """Whether a person types the program: a notebook's kernel or a prompt ends when its work is over."""
    return hasattr(builtins, "__IPYTHON__") or hasattr(sys, "ps1")


def _private_folder() -> Path:
    """A folder in the temporary directory that is this user's alone. Raises `OSError`."""
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"runcast-{owner}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or (hasattr(os, "getuid") and folder.stat().st_uid != os.getuid()):
        return Path(tempfile.mkdtemp(prefix="runcast-"))
    return folder / "runs"
