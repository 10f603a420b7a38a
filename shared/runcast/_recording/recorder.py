"""Writes a run's files: the core under trackers, the logging handler and `runcast exec`.

Every call is on disk when it returns. `spool.jsonl` comes first and is the truth: it holds each
call whole, as one message on one line, and a server is fed from it; a line's place in it is the
call's identity. The other files are views for people and scripts (`logs.txt` to tail, `status.json`
to poll), so a process that dies between two writes leaves at most a view a line short. A disk that
takes nothing costs views, too; the spool goes on in memory (`spool`).

Several threads and processes may write one run: each call takes a lock on the spool and first
looks what others have appended since. A forked child opens the files itself, because it would share
its parent's locks otherwise.

Files are not fsynced: what a call wrote survives the process, not a power cut.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from runcast._recording import artifacts, files, messages
from runcast._recording.log_entries import LogEntry, log_entry
from runcast._recording.open_files import NO_DESCRIPTOR, open_files
from runcast._recording.run_directory import RunDirectory, index_artifact, index_run
from runcast._recording.spool import Spool
from runcast._recording.spool_lock import SpoolLock
from runcast._support import acceptable, encoding, times, traces
from runcast._support.fork_renewal import fork_renewal
from runcast.contract import RUN_FIELDS, TERMINAL_STATUSES, TEXT_BYTES
from runcast.errors import InvalidFile

STATUS_EVENTS = 1_000
INLINE_ARTIFACT_BYTES = 64 * 1024
LINE_BYTES = TEXT_BYTES
MESSAGE_LINES = 100
MESSAGE_BYTES = 32 * 1024

Json = dict[str, Any]


class Recorder:
    """The files of one run.

    `run` is the run as run.json shows it. Errors are those of the file system, raised when everything
    that could be written is; what the disk didn't take of the spool is kept (`spool`). `is_guest`:
    another process has the run, and ends it.
    """

    def __init__(
        self, directory: RunDirectory, run: Json, *, json_logs: bool = False, is_guest: bool = False
    ) -> None:
        self.directory = directory
        self.run = run
        self.run_id = str(run["id"])
        self.is_guest = is_guest
        self.spool = Spool(directory.spool)
        self._logs = files.LineFile(directory.logs)
        self._events_file = files.LineFile(directory.events)
        self.is_structured = json_logs
        self._structured = files.LineFile(directory.json_logs) if json_logs else None
        self._views = [self._logs, self._events_file]
        self._views += [self._structured] if self._structured else []
        self._events: deque[bytes] = deque(maxlen=STATUS_EVENTS)
        self._sources: dict[str, tuple[int, int]] = {}
        self._contexts: dict[str, list[str]] = {}
        """Of each source the lines to which its next ones may belong (`traces`)."""
        self._error: str | None = None
        self._lock = threading.RLock()
        self._is_locked = False
        self._is_writing = False
        self._is_certain = True
        self._is_closed = False
        self._file_lock = SpoolLock(self.spool, self._views)
        self._trouble: Exception | None = None
        fork_renewal.add(self)

    @property
    def is_finished(self) -> bool:
        return self.run["status"] in TERMINAL_STATUSES

    def begin(self) -> None:
        """Writes the run's first state, or notes that it goes on."""
        with self._writing():
            if self.is_guest:
                return
            self.run["status"] = "running"
            self.run["started_at"] = self.run["started_at"] or _now()
            self._reach(self.run["current_step"])
            if self.spool.is_empty:
                self._keep(self._first_message(), is_vital=True)
            for each in self._views:
                self._view(each.fileno)  # there from the beginning, for `tail -f`
            self._view(self._write_run)
            self._view(self._write_status)
            self._view(index_run, self.directory.path.parent, self.run)

    def log(self, message: str, **fields: Any) -> None:
        """One log entry, of what `log_entry` takes."""
        entry = log_entry(self.run_id, message, is_structured=self.is_structured, **fields)
        self.write_entries([entry])

    def write_entries(self, entries: list[LogEntry]) -> None:
        """Writes log entries, all of them by one write to each file, and takes them out of the list as soon
        as the spool has them: what a signal handler raises in the middle loses and doubles none."""
        written = list(entries)
        with self._lock:
            self._enter()
            size = self.spool.size
            try:
                self._append([message for message, _, _ in written])
                entries.clear()
                self._show_entries(written)
            except BaseException as error:
                self._doubt(error)
                if isinstance(error, Exception) or (
                    self._is_locked and self.spool.ends_behind(size)
                ):
                    entries.clear()
                raise
            finally:
                self._leave()
            if self._trouble is not None:
                raise self._trouble

    def _show_entries(self, entries: list[LogEntry]) -> None:
        self._view(self._logs.append, b"".join([shown for _, shown, _ in entries]))
        if self._structured:
            structured = b"".join([each or b"" for _, _, each in entries])
            self._view(self._structured.append, structured)

    def lines(self, source: str, texts: Sequence[str]) -> None:
        """Lines of a program's output, as they are; without their ends."""
        source = acceptable.source(source)
        printable = [acceptable.printable(text) for text in texts]
        with self._writing():
            for part in _parts(printable):
                self._keep_lines(source, part)
            whole = "".join(f"{text}\n" for text in printable).encode()
            self._view(self._logs.append, whole)
            if self._structured:
                stamp = _now()
                entries = ({"ts": stamp, "source": source, "msg": text} for text in printable)
                lines = b"".join(encoding.encode(entry) + b"\n" for entry in entries)
                self._view(self._structured.append, lines)

    def progress(self, stage: str, message: str, **numbers: float | None) -> None:
        """A progress event: `percent`, `step`, `total_steps`.

        run.json is written when the step changes; status.json is what follows every event.
        """
        moment = times.now()
        said = messages.progress(
            self.run_id, stage, message, **numbers, ts=times.to_milliseconds(moment)
        )
        with self._writing():
            self._keep(said)
            self._show_progress({**said["data"], "ts": times.to_seconds(moment)})

    def update(self, **changed: Any) -> None:
        """Other fields of the run: `status` (not a terminal one), `current_step`, `metadata` … A step that
        is none of the run's is told as progress."""
        message = messages.updated(self.run_id, **changed)
        data = message["data"]
        step = data.get("current_step")
        if step is not None and step not in self.run["steps"]:
            del data["current_step"]
            self.progress(step, "")
        if not data:
            return
        with self._writing():
            self._keep(message, is_vital=True)
            for name in ("metadata", "labels"):
                if name in data:
                    data[name] = {**(self.run.get(name) or {}), **data[name]}
            self.run.update(data)
            self._reach(data.get("current_step"))
            self._view(self._write_run)
            self._view(self._write_status)

    def ask(self, question: Json) -> None:
        """A question to people; `question` has the id under which it will be known."""
        message = messages.event("question:asked", self.run_id, acceptable.mapping(question))
        with self._writing():
            self._keep(message)

    def measured(self, name: str, value: float, step: Any = None) -> None:
        """A point of a metric."""
        message = messages.measured(self.run_id, name, value, step)
        with self._writing():
            self._keep(message)

    def custom(self, name: str, data: Any) -> None:
        message = messages.custom(self.run_id, name, data)
        with self._writing():
            self._keep(message)

    def artifact(self, step_name: str, source: artifacts.Source) -> Json:
        """Keeps an output of a step as its next version; answers its entry in the manifest."""
        with self._writing():
            return self._artifact(acceptable.name(step_name) or "-", source)

    def finish(
        self,
        status: str,
        *,
        error: str | None = None,
        result: Any = None,
        pr_url: str | None = None,
    ) -> None:
        """The run's end: `completed`, `failed` or `cancelled`. Later ends change nothing."""
        error = None if error is None else acceptable.text(error)
        with self._writing():
            if self.is_finished:
                self._view(self._complete_views)
                return
            if self.directory.output.is_file() and not self._has_output():
                source = artifacts.Source(path=self.directory.output, moves=False)
                self._view(self._artifact, "output", source)
            last = _last_message(self.run_id, status, error, result, pr_url)
            self._keep(last, is_vital=True)
            for source_name, (lines, size) in list(self._sources.items()):
                closed = {"reason": "status", "lines": lines, "bytes": size}
                self._keep({**self._numbered(source_name, [])[0], "closed": closed}, is_vital=True)
            self._error = error
            self.run.update(
                status=status,
                error=error,
                result=last["data"].get("result"),
                pr_url=last["data"].get("pr_url"),
                finished_at=_now(),
            )
            text, level = _LAST_WORDS[status]
            self._view(self._write_log, text.format(error=error or "unknown"), level, _now())
            self._view(self._write_run)
            extent = {"lines": self._logs.lines, "bytes": self._logs.size}
            self._view(self._write_status, log=extent)
            self._view(index_run, self.directory.path.parent, self.run)

    def flush(self) -> None:
        """Writes what a full disk left in memory, if it takes it now."""
        with self._writing():
            self.spool.flush()

    def close(self) -> None:
        """Closes the files. A recorder that is closed raises `ValueError` when it is used."""
        with self._lock:
            self._is_closed = True
            self._close_files()
        open_files.closed(self)

    def rest(self) -> bool:
        """Closes the files until they are needed again; False if they are in use."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if not self._is_writing:
                self._close_files()
            return not self._is_writing
        finally:
            self._lock.release()

    def renew_after_fork(self) -> None:
        """In a forked child: the files are opened again when they are needed, with a lock that no
        thread of the parent's holds. What waits in memory is the parent's to write."""
        self._lock = threading.RLock()
        if self._is_writing:  # a thread of the parent's was in the middle of it
            self._is_certain = False
        self._is_locked = self._is_writing = False
        self._file_lock.renew_after_fork()
        self._close_files()
        self.spool.abandon()

    def _close_files(self) -> None:
        self.spool.close()
        for each in self._views:
            each.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Within it the run's files are this call's alone. What the disk doesn't take is raised at the
        end, so that one file's trouble is not another's."""
        with self._lock:
            self._enter()
            try:
                yield
            except BaseException as error:
                self._doubt(error)
                raise
            finally:
                self._leave()
            if self._trouble is not None:
                raise self._trouble

    def _enter(self) -> None:
        if self._is_closed:
            raise ValueError("the run's record is closed")
        self._trouble = None
        self._is_writing = True
        try:
            if open_files.last is not self:
                open_files.used(self)
            self._take_file_lock()
        except BaseException as error:
            self._doubt(error)
            self._leave()
            raise

    def _leave(self) -> None:
        self._is_writing = self._is_locked = False
        self._file_lock.release()

    def _doubt(self, error: BaseException) -> None:
        """What a signal handler raises comes in the middle of anything: the files are looked at again."""
        if not isinstance(error, Exception):
            self._is_certain = False

    def _take_file_lock(self) -> None:
        """Locks the files against other processes, where that can be."""
        try:
            size = self._file_lock.take()
        except OSError as error:  # TimeoutError among them: a stopped process holds the lock
            self._trouble = error
            return
        self._is_locked = True
        try:
            if not (self._is_certain and self.spool.is_ours_alone(size)):
                self._adopt()
        except OSError as error:
            self._trouble = error

    def _view(self, write: Callable[..., object], *args: Any, **named: Any) -> None:
        """Writes something that isn't the truth: its trouble must not keep the rest from being written."""
        try:
            try:
                write(*args, **named)
            except OSError as error:
                if error.errno not in NO_DESCRIPTOR:
                    raise
                self._file_lock.make_room()
                write(*args, **named)
        except (OSError, InvalidFile) as error:
            self._trouble = self._trouble or error

    def _adopt(self) -> None:
        """Takes over what is in the spool that this recorder didn't write."""
        if not self._is_certain:
            self.spool.forget()
            self._sources.clear()
            self._contexts.clear()
            for each in self._views:
                each.forget()
            self._is_certain = True
        others = self.spool.catch_up()
        if not others:
            return
        for line in others:
            if b'"lines"' in line and (message := _parsed(line)).get("type") == messages.LINES:
                self._place(message)
        for each in self._views:
            each.catch_up()
        self._reload()

    def _place(self, message: Json) -> None:
        """Where the source of a `lines` message stands behind it."""
        try:
            last = message["first_line"] + len(message["lines"]) - 1
            self._sources[message["source"]] = (last, int(message["next_offset"]))
        except (KeyError, TypeError, ValueError):
            return

    def _reload(self) -> None:
        try:
            if self.directory.run.exists():
                self.run = self.directory.read_run()
            if self.directory.status.exists():
                status = self.directory.read_status()
                self._events.clear()
                self._events.extend(encoding.encode(event) for event in status["events"])
                self._error = status.get("error")
        except InvalidFile:  # named by `runcast doctor`; ours is what we know
            return

    def _first_message(self) -> Json:
        """Its `id` is the spool's own: another spool of this run begins otherwise."""
        fields = {name: self.run.get(name) for name in RUN_FIELDS}
        return messages.started(self.run_id, project=self.run["project"], **fields)

    def _keep(self, message: messages.Message, *, is_vital: bool = False) -> None:
        if message["type"] != "agent:started":
            message.pop("id", None)  # its place in the spool is its identity
        self._append([encoding.encode(message) + b"\n"], is_vital=is_vital)

    def _append(self, lines: list[bytes], *, is_vital: bool = False) -> None:
        """Adds lines to the spool; what the disk doesn't take is kept in memory."""
        if not self._is_locked:
            for line in lines:
                self.spool.keep(line, is_vital=is_vital)
            return
        try:
            self.spool.append(lines, is_vital=is_vital)
        except OSError as error:
            self._trouble = self._trouble or error

    def _keep_lines(self, source: str, texts: list[str]) -> None:
        message, place = self._numbered(source, texts)
        dropped = self.spool.dropped
        self._keep(message)
        if self.spool.dropped == dropped:
            self._sources[source] = place
            self._contexts[source] = traces.context(self._contexts.get(source, []), texts)

    def _numbered(
        self, source: str, texts: Sequence[str]
    ) -> tuple[messages.Message, tuple[int, int]]:
        """A `lines` message, and where its source stands behind it."""
        lines, offset = self._sources.get(source, (0, 0))
        message = messages.lines(
            self.run_id, source, texts, first_line=lines + 1, first_offset=offset
        )
        flags = {}
        for number, text in enumerate(texts):
            length = len(text.encode())
            if length > LINE_BYTES:
                message["lines"][number] = _cut(text)
                flags[str(number)] = {"cut": {"offset": offset, "length": length}}
            offset += length + 1
        message["next_offset"] = offset
        if above := traces.needed(self._contexts.get(source, []), texts):
            message["above"] = above
        if flags:
            message["flags"] = flags
        return message, (lines + len(texts), offset)

    def _show_progress(self, event: Json) -> None:
        encoded = encoding.encode(event)
        self._view(self._events_file.append, encoded + b"\n")
        self._events.append(encoded)
        percent = f" ({event['percent']}%)" if "percent" in event else ""
        text = f"[{event['stage']}]{percent} {event['message']}"
        self._view(self._write_log, text, "info", event["ts"])
        self.run["progress"] = event
        if event["stage"] in self.run["steps"] and event["stage"] != self.run["current_step"]:
            self._reach(event["stage"])
            self._view(self._write_run)
        self._view(self._write_status)

    def _write_log(self, text: str, level: str, stamp: str, named: Json | None = None) -> None:
        self._logs.append(f"{stamp} [{level.upper()}] {text}\n".encode())
        if self._structured:
            given = {name: value for name, value in (named or {}).items() if value is not None}
            entry = {"ts": stamp, "level": level.upper(), "msg": text, **given}
            self._structured.append(encoding.encode(entry) + b"\n")

    def _reach(self, step: str | None) -> None:
        if step is not None:
            self.run["current_step"] = step
            self.run["step_timestamps"].setdefault(step, _now())

    def _artifact(self, step_name: str, source: artifacts.Source) -> Json:
        version = artifacts.next_version(self.directory, step_name, self._known_artifacts())
        inline = artifacts.inline(source, INLINE_ARTIFACT_BYTES)
        try:
            entry = artifacts.store(self.directory, step_name, version, source)
        except OSError as error:
            kept = artifacts.unstored(step_name, version, source, INLINE_ARTIFACT_BYTES)
            if kept is None:
                raise
            entry, self._trouble = kept, error
        else:
            self._view(index_artifact, self.directory, entry)
        self._keep(messages.event("artifact:created", self.run_id, {**entry, **inline}))
        return entry

    def _known_artifacts(self) -> list[Json]:
        try:
            return self.directory.read_artifacts()
        except InvalidFile as error:
            self._trouble = self._trouble or error
            return []

    def _complete_views(self) -> None:
        """Writes what an interrupted end left unwritten."""
        if self.directory.read_status()["status"] != self.run["status"]:
            self._write_run()
            self._write_status(log={"lines": self._logs.lines, "bytes": self._logs.size})
            index_run(self.directory.path.parent, self.run)

    def _has_output(self) -> bool:
        return any(entry["path"] == "output.zip" for entry in self._known_artifacts())

    def _write_run(self) -> None:
        self.run["updated_at"] = _now()
        self.run["last_line_number"] = self._logs.lines
        files.replace(self.directory.run, encoding.encode(self.run))

    def _write_status(self, **more: Any) -> None:
        head: Json = {
            "run_id": self.run["key"] or self.run["id"],
            "status": self.run["status"],
            "created_at": self.run["created_at"],
            "updated_at": _now(),
        }
        if self._error is not None:
            head["error"] = self._error
        tail = encoding.encode(more)[1:] if more else b"}"
        parts = (encoding.encode(head)[:-1], b',"events":[', b",".join(self._events), b"]")
        content = b"".join(parts) + (b"," + tail if more else tail)
        files.swap(self.directory.status, content)


_LAST_WORDS = {
    "completed": ("Run completed successfully.", "info"),
    "failed": ("Run failed: {error}", "error"),
    "cancelled": ("Run cancelled.", "warning"),
}


def _last_message(
    run_id: str, status: str, error: str | None, result: Any, pr_url: str | None
) -> messages.Message:
    match status:
        case "completed":
            return messages.completed(run_id, result=result, pr_url=pr_url)
        case "failed":
            return messages.failed(run_id, error or "unknown", result=result)
        case _:
            return messages.updated(run_id, status=status, error=error, result=result)


def _cut(text: str) -> str:
    return text.encode()[:LINE_BYTES].decode(errors="ignore")


def _parts(texts: list[str]) -> Iterator[list[str]]:
    """The lines in portions that one message carries."""
    part: list[str] = []
    size = 0
    for text in texts:
        if len(part) == MESSAGE_LINES or (part and size + len(text) > MESSAGE_BYTES):
            yield part
            part, size = [], 0
        part.append(text)
        size += len(text)
    if part:
        yield part


def _parsed(line: bytes) -> Json:
    try:
        message: Json = orjson.loads(line)
    except ValueError:
        return {}
    return message


def _now() -> str:
    return times.to_seconds(times.now())
