"""The log of a run's directory, now and as it grows: `tail -F` with what lines say about themselves."""

import os
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO

from runcast._recording.run_directory import RunDirectory
from runcast._support import line_parser, traces
from runcast.cli.lines import Shown
from runcast.contract import TERMINAL_STATUSES
from runcast.errors import InvalidFile

POLL_SECONDS = 0.1
PIECE_BYTES = 1024 * 1024
QUIET_LOOKS = 3
"""A run that is over is looked at so often more: its writer may be at its last line."""


def print_log(directory: RunDirectory, shown: Shown, *, follow: bool, tail: int | None) -> None:
    """Prints logs.txt, its last `tail` lines, and with `follow` what comes until the run is over."""
    reader = LogReader(directory)
    if tail is not None:
        reader.skip_to_last(tail)
    for entry in reader.read():
        shown.print(entry)
    left = QUIET_LOOKS
    while follow and left:
        if _is_over(directory):
            left -= 1
        for entry in reader.read():
            left = QUIET_LOOKS
            shown.print(entry)
        if left:
            time.sleep(POLL_SECONDS)
    for entry in reader.finish():
        shown.print(entry)


class LogReader:
    """Reads on where it was; from the beginning of a file that was truncated or replaced."""

    def __init__(self, directory: RunDirectory) -> None:
        self._path = directory.logs
        self._run_id = directory.path.name
        self._file: BinaryIO | None = None
        self._position = 0
        self._number = 0
        self._rest = b""
        self._entries = traces.Entries()

    def skip_to_last(self, number: int) -> None:
        """Goes to where the last lines begin, without looking at what the others say."""
        if not self._is_open():
            return
        assert self._file is not None
        starts, lines, last = [(0, 0)], 0, b"\n"
        while piece := self._file.read(PIECE_BYTES):
            lines += piece.count(b"\n")
            last = piece[-1:]
            starts.append((self._file.tell(), lines))
        first = max(lines + (last != b"\n") - number, 0)
        offset, before = max(start for start in starts if start[1] <= first)
        self._file.seek(offset)
        for _ in range(first - before):
            self._file.readline()
        self._position, self._number = self._file.tell(), first

    def read(self) -> Iterator[dict[str, Any]]:
        """The lines that are whole now."""
        if not self._is_open():
            return
        assert self._file is not None
        status = os.fstat(self._file.fileno())
        if status.st_size < self._position:
            self._begin_again()
        at = datetime.fromtimestamp(status.st_mtime).astimezone()
        self._file.seek(self._position)
        for line in self._file:
            self._position += len(line)
            line, self._rest = self._rest + line, b""
            if line.endswith(b"\n"):
                yield self._entry(line, at)
            else:
                self._rest = line
        if self._was_replaced():
            self._file.close()
            self._file = None

    def finish(self) -> Iterator[dict[str, Any]]:
        """The last line, if it has no end."""
        if self._rest:
            yield self._entry(self._rest, datetime.now().astimezone())
            self._rest = b""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _is_open(self) -> bool:
        if self._file is None:
            try:
                self._file = self._path.open("rb")
            except OSError:
                return False
            self._begin_again()
        return True

    def _was_replaced(self) -> bool:
        assert self._file is not None
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        except OSError:
            return False

    def _begin_again(self) -> None:
        self._position, self._number, self._rest = 0, 0, b""
        self._entries = traces.Entries()

    def _entry(self, line: bytes, at: datetime) -> dict[str, Any]:
        self._number += 1
        text = line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "replace")
        said = self._entries.place(text, line_parser.read(text, at))
        return {
            "run_id": self._run_id,
            "line_number": self._number,
            "message": text.removeprefix("\ufeff"),
            "ts": said.ts,
            "level": said.level,
        }


def _is_over(directory: RunDirectory) -> bool:
    try:
        return directory.read_status()["status"] in TERMINAL_STATUSES
    except (InvalidFile, FileNotFoundError):
        return False
