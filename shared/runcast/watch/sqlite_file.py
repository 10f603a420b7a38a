"""SQLite databases of other programs: opened for reading alone, and looked at again when they changed."""

from __future__ import annotations

import contextlib
import sqlite3
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from runcast.watch import line_file
from runcast.watch.line_file import Stamp, own


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The database, for reading alone. Raises `OSError`, also for what SQLite refuses."""
    own(path)
    try:
        uri = f"file:{urllib.parse.quote(str(path))}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=1.0)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise OSError(f"{path}: {error}") from error


def stamp(path: Path) -> Stamp | None:
    """The database with its write-ahead log."""
    main = line_file.stamp(path)
    if main is None:
        return None
    log = line_file.stamp(path.with_name(path.name + "-wal")) or (0, 0, 0)
    return main[0], main[1] + log[1], max(main[2], log[2])
