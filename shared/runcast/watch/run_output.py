"""The run that a session becomes: its directory, and the spool that says how far the session was translated.

Each line names where it comes from (`origin`): a record's offset and which of its messages this is, or for
states the place up to which the session was read. So nothing else has to be written down to go on after a
crash: the last whole line says it. The directory and its files are readable by their owner alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from runcast import contract
from runcast._recording import files
from runcast._recording.run_directory import RunDirectory, make_root
from runcast.errors import InvalidFile

Json = dict[str, Any]

STATE = "state"
TRANSLATOR = 1
"""The version of the translation: of a record that another version had begun, the rest is passed over."""
_TAIL_BYTES = 256 * 1024
_ENDS = ("agent:completed", "agent:failed")


@dataclass(frozen=True, slots=True)
class Place:
    """How far a session was translated. `parts` messages of the record at `offset` are there already; None:
    everything up to `offset` is."""

    offset: int
    parts: int | None
    inode: int
    head: str
    generation: int


@dataclass(slots=True)
class Found:
    """What the spool says of the run as it was left."""

    place: Place | None = None
    is_over: bool = False
    published: Json | None = None
    """The status and attention that were told last."""
    usage: Json | None = None
    """The usage that was told last."""
    has_process: bool = False
    """Whether a process of the session was told of."""


class RunOutput:
    """Appends to one run's spool. What the disk doesn't take is kept and written first."""

    def __init__(self, runs_dir: Path, key: str) -> None:
        self.key = key
        self.directory = RunDirectory(runs_dir / key)
        self._fd = -1
        self._pending = b""
        self._is_there = False

    @property
    def exists(self) -> bool:
        self._is_there = self._is_there or self.directory.run.exists()
        return self._is_there

    @property
    def begin(self) -> int | None:
        """The offset at which the run begins in its session; None where there is no run of a watcher."""
        try:
            begin = self.directory.read_run()["watch"]["begin"]
        except (OSError, InvalidFile, LookupError, TypeError):
            return None
        return begin if isinstance(begin, int) else None

    @property
    def size(self) -> int | None:
        """Bytes of the spool; None where there is none."""
        try:
            return self.directory.spool.stat().st_size
        except OSError:
            return None

    @property
    def is_behind(self) -> bool:
        """Whether the disk doesn't take what was said."""
        return bool(self._pending)

    def create(self, run: Json) -> None:
        """Makes the directory with its run.json at once: a reader sees it whole, or not at all."""
        path = self.directory.path
        make_root(path.parent)
        if path.exists():  # left by a program that made no run.json
            files.replace(path / contract.RUN_FILE, orjson.dumps(run))
            return
        draft = path.with_name(f".{self.key}.new")
        draft.mkdir(mode=0o700, exist_ok=True)
        _write(draft / contract.RUN_FILE, orjson.dumps(run))
        _write(draft / contract.SPOOL_FILE, b"")
        os.rename(draft, path)

    def recover(self) -> Found:
        """What the spool says; a torn last line is cut off."""
        try:
            fd = os.open(self.directory.spool, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return Found()
        try:
            size = os.fstat(fd).st_size
            whole = _whole(fd, size)
            if whole < size:
                os.ftruncate(fd, whole)
            found = _found(fd, whole)
        finally:
            os.close(fd)
        with contextlib.suppress(OSError):
            found.has_process |= b'"pid":' in self.directory.run.read_bytes()
        return found

    def place(self) -> Place | None:
        """How far the session was translated, for a run that another one has followed: nothing is changed."""
        try:
            fd = os.open(self.directory.spool, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            return _found(fd, _whole(fd, os.fstat(fd).st_size)).place
        finally:
            os.close(fd)

    def said_before(self) -> Counter[bytes]:
        """Digests of the entries that the spool holds, each as often as it does."""
        counted: Counter[bytes] = Counter()
        with self.directory.spool.open("rb") as spool:
            for line in spool:
                if line.startswith(b'{"type":"agent:log"') and line.endswith(b"\n"):
                    counted[digest(orjson.loads(line)["data"])] += 1
        return counted

    def append(self, lines: list[bytes]) -> None:
        """Adds lines, each with its end. Raises `OSError` where the disk doesn't take them; then they are
        kept, and `flush` goes on with them."""
        self._pending += b"".join(lines)
        self.flush()

    def flush(self) -> None:
        """Writes what is kept. Raises `OSError`."""
        if not self._pending:
            return
        if self._fd < 0:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._fd = os.open(self.directory.spool, flags, 0o600)
        while self._pending:
            self._pending = self._pending[os.write(self._fd, self._pending) :]

    def end(self, status: str, run: Json, at: str, error: str | None) -> None:
        """Says in status.json that the run is over, for those who read files."""
        told = {
            "run_id": run["id"],
            "status": status,
            "error": error,
            "created_at": run["created_at"],
            "updated_at": at,
            "events": [],
        }
        files.replace(self.directory.status, orjson.dumps(told))

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def entry_line(data: Json, place: Place, next_offset: int, part: int, of: int, file: str) -> bytes:
    """An entry's line."""
    origin = {
        "file": file,
        "inode": place.inode,
        "generation": place.generation,
        "head": place.head,
        "offset": place.offset,
        "next": next_offset,
        "part": part,
        "of": of,
        "v": TRANSLATOR,
    }
    message = {"type": "agent:log", "source": "session", "data": data, "origin": origin}
    return orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE)


def state_line(kind: str, data: Json, place: Place) -> bytes:
    """The line of a state, told when everything before `place` was."""
    origin = {
        "file": STATE,
        "inode": place.inode,
        "generation": place.generation,
        "head": place.head,
        "next": place.offset,
        "v": TRANSLATOR,
    }
    return orjson.dumps(
        {"type": kind, "data": data, "origin": origin}, option=orjson.OPT_APPEND_NEWLINE
    )


def with_id(line: bytes, id: str) -> bytes:
    """The line with an id: a spool's first one tells it from another spool of the same run."""
    return line.removesuffix(b"}\n") + b',"id":"' + id.encode() + b'"}\n'


def digest(data: Json) -> bytes:
    """What tells an entry from others."""
    encoded = orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(encoded, digest_size=8).digest()


def _found(fd: int, whole: int) -> Found:
    """What the last lines say."""
    found = Found()
    for line in _last_lines(fd, whole):
        _learn(found, line)
    return found


def _learn(found: Found, line: bytes) -> None:
    """Takes from a line what later ones didn't say."""
    try:
        message = orjson.loads(line)
        origin, kind, data = message["origin"], message["type"], message["data"]
    except (ValueError, KeyError, TypeError):
        return
    if found.place is None:
        is_state = origin.get("file") == STATE
        is_newer = origin.get("v") != TRANSLATOR
        found.place = Place(
            origin["next"] if is_state or is_newer else origin["offset"],
            None if is_state or is_newer else origin["part"],
            origin.get("inode", 0),
            origin.get("head", "0-"),
            origin.get("generation", 1),
        )
        found.is_over = kind in _ENDS
    if b'"pid":' in line and kind == "run:updated":
        found.has_process |= "pid" in (data.get("metadata") or {}).get("agent", ())
    if found.usage is None and kind == "run:updated":
        found.usage = data.get("usage")
    if found.published is None and kind == "run:updated" and "status" in data:
        found.published = {name: data.get(name) for name in ("status", "attention")}


def _whole(fd: int, size: int) -> int:
    """The bytes up to behind the last line's end."""
    end = size
    while end > 0:
        start = max(end - _TAIL_BYTES, 0)
        place = os.pread(fd, end - start, start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0


def _last_lines(fd: int, size: int) -> Iterator[bytes]:
    """The last lines, the last one first: at least one, and those of the last 256 KiB."""
    start = max(size - _TAIL_BYTES, 0)
    tail = os.pread(fd, size - start, start)
    while start > 0 and b"\n" not in tail[:-1]:
        start = max(start - _TAIL_BYTES, 0)
        tail = os.pread(fd, size - start, start)
    lines = tail.split(b"\n")[:-1]
    yield from reversed(lines if start == 0 else lines[1:] or lines)


def _write(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
