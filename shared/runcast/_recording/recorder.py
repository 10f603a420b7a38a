"""Writes a run's files: the core under trackers, the logging handler and `runcast exec`.

Every call is on disk when it returns. `spool.jsonl` comes first and is the truth: it holds each
call whole, as one message on one line, and a server is fed from it; a line's place in it is the
call's identity. The other files are views for people and scripts (`logs.txt` to tail, `status.json`
to poll), so a process that dies between two writes leaves at most a view a line short.

Several threads and processes may write one run: each call takes a lock on the spool and first
looks what others have appended since. A forked child opens the files anew, because it would share
its parent's locks otherwise.

Nothing is forced to the disk's platter: what a call wrote survives the process, not a power cut.
"""

import functools
import os
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import orjson

from runcast import contract
from runcast._recording import artifacts, files, locks, messages
from runcast._recording.run_directory import RunDirectory, index_artifact, index_run
from runcast._support import acceptable, encoding, times
from runcast.contract import TERMINAL_STATUSES

STATUS_EVENTS = 1_000
LOCK_SECONDS = 2.0
INLINE_ARTIFACT_BYTES = 64 * 1024
LINE_BYTES = 64 * 1024
MESSAGE_LINES = 100
PAYLOAD_BYTES = 128 * 1024

Json = dict[str, Any]


class Recorder:
    """The open files of one run.

    `run` is the run as run.json shows it. Errors are those of the file system; `TimeoutError`
    means that another process held the run's lock for too long.
    """

    def __init__(self, directory: RunDirectory, run: Json, *, json_logs: bool = False) -> None:
        self.directory = directory
        self.run = run
        self._json_logs = json_logs
        self._events: deque[bytes] = deque(maxlen=STATUS_EVENTS)
        self._sources: dict[str, tuple[int, int]] = {}
        self._error: str | None = None
        self._lock = threading.RLock()
        self._is_open = False
        self._is_closed = False
        with self._lock:
            self._open()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=functools.partial(_renew, weakref.ref(self)))

    @property
    def run_id(self) -> str:
        return str(self.run["id"])

    @property
    def is_finished(self) -> bool:
        return self.run["status"] in TERMINAL_STATUSES

    def begin(self) -> None:
        """Writes the run's first state, or notes that it goes on."""
        with self._writing():
            is_new = self._spool.size == 0
            self.run["status"] = "running"
            self.run["started_at"] = self.run["started_at"] or _now()
            self._reach(self.run["current_step"])
            if is_new:
                fields = {name: self.run.get(name) for name in contract.RUN_FIELDS}
                self._keep(messages.started(self.run_id, project=self.run["project"], **fields))
            self._write_run()
            self._write_status()
        index_run(self.directory.path.parent, self.run)

    def log(
        self,
        message: str,
        *,
        level: str = "info",
        agent_name: str | None = None,
        event_type: str | None = None,
        payload: Any = None,
        ts: datetime | None = None,
    ) -> None:
        """One log entry. Of a text or payload beyond 64 or 128 KiB the server gets the beginning;
        logs.txt has the whole text."""
        with self._writing():
            moment = ts or times.now()
            named = {"agent_name": agent_name, "event_type": event_type}
            text = encoding.printable(message)
            shown = _beginning(text)
            payload = _of_bearable_size(payload)
            exact = times.to_milliseconds(moment)
            self._keep(
                messages.log(
                    self.run_id, shown, level=level.lower(), **named, payload=payload, ts=exact
                )
            )
            self._write_log(text, level, times.to_seconds(moment), named)

    def lines(self, source: str, texts: Sequence[str]) -> None:
        """Lines of a program's output, as they are; without their ends."""
        source = acceptable.source(source)
        with self._writing():
            texts = [encoding.printable(text) for text in texts]
            for first in range(0, len(texts), MESSAGE_LINES):
                self._keep(self._numbered(source, texts[first : first + MESSAGE_LINES]))
            self._logs.append("".join(f"{text}\n" for text in texts).encode())
            if self._structured:
                stamp = _now()
                entries = ({"ts": stamp, "source": source, "msg": text} for text in texts)
                self._structured.append(b"".join(encoding.encode(e) + b"\n" for e in entries))

    def progress(self, stage: str, message: str, **numbers: int | None) -> None:
        """A progress event: `percent`, `step`, `total_steps`.

        run.json is written when the step changes; status.json is what follows every event.
        """
        with self._writing():
            moment = times.now()
            given = {name: value for name, value in numbers.items() if value is not None}
            stamp = times.to_seconds(moment)
            event: Json = {"ts": stamp, "stage": stage, "message": message, **given}
            encoded = encoding.encode(event)
            exact = times.to_milliseconds(moment)
            self._keep(messages.progress(self.run_id, stage, message, **given, ts=exact))
            self._events_file.append(encoded + b"\n")
            self._events.append(encoded)
            percent = f" ({given['percent']}%)" if "percent" in given else ""
            self._write_log(f"[{stage}]{percent} {message}", "info", stamp)
            self.run["progress"] = event
            if stage in self.run["steps"] and stage != self.run["current_step"]:
                self._reach(stage)
                self._write_run()
            self._write_status()

    def update(self, **changed: Any) -> None:
        """Other fields of the run: `status` (not a terminal one), `current_step`, `metadata`.

        Raises `ValueError` for a step that is none of the run's.
        """
        with self._writing():
            step = changed.get("current_step")
            if step is not None and step not in self.run["steps"]:
                raise ValueError(f"{step!r} is not one of the run's steps {self.run['steps']}")
            if "metadata" in changed:
                merged = {**self.run["metadata"], **changed["metadata"]}
            self._keep(messages.updated(self.run_id, **changed))
            if "metadata" in changed:
                changed["metadata"] = merged
            self.run.update(changed)
            self._reach(step)
            self._write_run()
            self._write_status()

    def ask(self, question: Json) -> None:
        """A question to people; `question` has the id under which it will be known."""
        with self._writing():
            self._keep(messages.event("question:asked", self.run_id, question))

    def custom(self, name: str, data: Json) -> None:
        with self._writing():
            self._keep(messages.custom(self.run_id, name, data))

    def artifact(self, step_name: str, source: artifacts.Source) -> Json:
        """Keeps an output of a step as its next version; answers its entry in the manifest."""
        with self._writing():
            return self._artifact(step_name, source)

    def finish(
        self,
        status: str,
        *,
        error: str | None = None,
        result: Any = None,
        pr_url: str | None = None,
    ) -> None:
        """The run's end: `completed`, `failed` or `cancelled`. Later ends change nothing."""
        with self._writing():
            if self.is_finished:
                return
            if self.directory.output.is_file() and not self._has_output():
                self._artifact("output", artifacts.Source(path=self.directory.output, moves=False))
            text, level = _LAST_WORDS[status]
            text = text.format(error=error or "unknown")
            self._write_log(text, level, _now())
            self._keep(_last_message(self.run_id, status, error, result, pr_url))
            for source, (lines, size) in self._sources.items():
                closed = {"reason": "status", "lines": lines, "bytes": size}
                self._keep({**self._numbered(source, []), "closed": closed})
            self._error = error
            self.run.update(
                status=status, error=error, result=result, pr_url=pr_url, finished_at=_now()
            )
            self._write_run()
            self._write_status(log={"lines": self._logs.lines, "bytes": self._logs.size})
        index_run(self.directory.path.parent, self.run)

    def close(self) -> None:
        """Closes the files. A recorder that is closed raises `ValueError` when it is used."""
        with self._lock:
            self._is_closed = True
            for each in self._files():
                each.close()

    def _open(self) -> None:
        self._spool = files.LineFile(self.directory.spool)
        self._logs = files.LineFile(self.directory.logs)
        self._events_file = files.LineFile(self.directory.events)
        self._structured = files.LineFile(self.directory.json_logs) if self._json_logs else None
        with locks.locked(self._spool.fileno(), LOCK_SECONDS):
            self._adopt()
        self._is_open = True

    def _files(self) -> list[files.LineFile]:
        always = [self._spool, self._logs, self._events_file]
        return [*always, self._structured] if self._structured else always

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            if self._is_closed:
                raise ValueError("the run's record is closed")
            if not self._is_open:
                self._open()
            with locks.locked(self._spool.fileno(), LOCK_SECONDS):
                self._adopt()
                yield

    def _renew_in_child(self) -> None:
        """In a forked child: the files are opened anew when they are needed, with a lock that no
        thread of the parent's holds."""
        self._lock = threading.RLock()
        self._is_open = False
        for each in self._files():
            each.close()

    def _adopt(self) -> None:
        """Takes over what is in the spool that this recorder didn't write."""
        start, end = self._spool.catch_up()
        if start == end:
            return
        for line in self._spool.read_lines(start, end):
            if b'"lines"' in line and (message := _parsed(line)).get("type") == messages.LINES:
                last = message["first_line"] + len(message["lines"]) - 1
                self._sources[message["source"]] = (last, message["next_offset"])
        for each in self._files()[1:]:
            each.catch_up()
        self._reload()

    def _reload(self) -> None:
        if self.directory.run.exists():
            self.run = self.directory.read_run()
        if self.directory.status.exists():
            status = self.directory.read_status()
            self._events.clear()
            self._events.extend(encoding.encode(event) for event in status["events"])
            self._error = status.get("error")

    def _keep(self, message: messages.Message) -> None:
        self._spool.append(encoding.encode(message) + b"\n")

    def _numbered(self, source: str, texts: Sequence[str]) -> messages.Message:
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
        self._sources[source] = (lines + len(texts), offset)
        message["next_offset"] = offset
        return {**message, "flags": flags} if flags else message

    def _write_log(self, text: str, level: str, stamp: str, named: Json | None = None) -> None:
        text = encoding.printable(text)
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
        known = self.directory.read_artifacts()
        version = 1 + sum(entry["step_name"] == step_name for entry in known)
        entry = artifacts.store(self.directory, step_name, version, source)
        index_artifact(self.directory, entry)
        inline = artifacts.inline(source, entry["size"], INLINE_ARTIFACT_BYTES)
        self._keep(messages.event("artifact:created", self.run_id, {**entry, **inline}))
        return entry

    def _has_output(self) -> bool:
        return any(entry["path"] == "output.zip" for entry in self.directory.read_artifacts())

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


def _beginning(text: str) -> str:
    """The text, or as much of it as a log entry may hold, with what is missing."""
    if len(text) <= LINE_BYTES // 4:
        return text
    size = len(text.encode())
    if size <= LINE_BYTES:
        return text
    shown = text.encode()[: LINE_BYTES - 64].decode(errors="ignore")
    return f"{shown}… [+{size - len(shown.encode())} bytes]"


def _of_bearable_size(payload: Any) -> Any:
    if payload is None or isinstance(payload, (bool, int, float)):
        return payload
    encoded = encoding.encode(payload)
    if len(encoded) <= PAYLOAD_BYTES:
        return payload
    return {
        "cut": True,
        "bytes": len(encoded),
        "beginning": encoded[:1_000].decode(errors="ignore"),
    }


def _parsed(line: bytes) -> Json:
    try:
        message: Json = orjson.loads(line)
    except ValueError:
        return {}
    return message


def _now() -> str:
    return times.to_seconds(times.now())


def _renew(recorder: "weakref.ref[Recorder]") -> None:
    there = recorder()
    if there is not None:
        there._renew_in_child()
