"""Which attempts of a job there were: `nightly-1`, `nightly-2` … in a folder of runs.

The directories say so as long as they are there. `runcast prune` removes them, so the last number of each job
is also kept in a file of the folder: a number that came twice would name another run's key at the server.
"""

import contextlib
import os
import re
from pathlib import Path

import orjson

from runcast._recording import files

ATTEMPTS_FILE = ".attempts.json"
LARGEST = 999_999_999
"""Larger numbers behind a job's name are an id or a time, and no attempt's."""
JOBS = 10_000
"""Jobs whose numbers are kept; beyond that those that began longest ago are left out."""
_FILE_BYTES = 4 * 1024 * 1024


def next_number(root: Path, job: str) -> int:
    """The number of the job's next attempt, which is thereby taken; under the lock of `opening`.

    A file that can't be read, or holds something else, is ignored, and one that can't be written costs
    only the memory of attempts that are removed. Raises `OSError` where the folder can't be listed.
    """
    known = _known(root / ATTEMPTS_FILE)
    number = 1 + max(known.pop(job, 0), _highest(root, job))
    kept = list(known.items())[-(JOBS - 1) :]
    with contextlib.suppress(OSError):
        files.replace(root / ATTEMPTS_FILE, orjson.dumps({**dict(kept), job: number}))
    return number


def _highest(root: Path, job: str) -> int:
    """The highest number of a directory of the job's; 0 without one."""
    attempt = re.compile(re.escape(job) + r"-([1-9][0-9]{0,8})")
    with os.scandir(root) as entries:
        found = [attempt.fullmatch(entry.name) for entry in entries]
    return max((int(each[1]) for each in found if each), default=0)


def _known(path: Path) -> dict[str, int]:
    """The last numbers by job, those of the latest start last."""
    try:
        if not path.is_file() or path.stat().st_size > _FILE_BYTES:
            return {}
        content = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {job: number for job, number in content.items() if _is_number(number)}


def _is_number(value: object) -> bool:
    return type(value) is int and 0 < value < LARGEST
