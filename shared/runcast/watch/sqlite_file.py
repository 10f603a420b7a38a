"""SQLite databases of other programs: opened for reading alone, and looked at again when they changed."""

from __future__ import annotations

import contextlib
import sqlite3
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from runcast.watch import line_file
from runcast.watch.line_file import Stamp, own

BUSY_SECONDS = 0.2
"""How long a database that is being written may keep us waiting: it is looked at again soon."""
_JOURNALS = ("-wal", "-journal")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The database, for reading alone. Raises `OSError`, also for what SQLite refuses, and at the end where
    what was read may not be what the database holds.

    Reading makes files beside a database that no one else has open. So one that lies by itself is read as a
    file that doesn't change, and if it did meanwhile, what was read doesn't count.
    """
    own(path)
    before = stamp(path)
    is_still = not any(path.with_name(path.name + each).exists() for each in _JOURNALS)
    mode = "mode=ro&immutable=1" if is_still else "mode=ro"
    try:
        uri = f"file:{urllib.parse.quote(str(path))}?{mode}"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise OSError(f"{path}: {error}") from error
    if is_still and stamp(path) != before:
        raise BlockingIOError(f"{path} is being written")


def stamp(path: Path) -> Stamp | None:
    """The database with its write-ahead log."""
    main = line_file.stamp(path)
    if main is None:
        return None
    log = line_file.stamp(path.with_name(path.name + "-wal")) or (0, 0, 0)
    return main[0], main[1] + log[1], max(main[2], log[2])
