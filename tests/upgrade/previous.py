"""The last release's code, out of this repository's history.

After a release, name its commit here: its processes are then run beside those of the present code.
"""

from __future__ import annotations

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

COMMIT = "70eda8091f231b1d7a7d5ca1ca709b5646909002"
ROOT = Path(__file__).parents[2]
PACKAGES = ("shared", "services/api", "services/hub", "services/tailer")


def is_known() -> bool:
    """Whether the history is here: a copy of the source without it has none."""
    command = ["git", "-C", str(ROOT), "cat-file", "-e", f"{COMMIT}^{{commit}}"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def unpack(directory: Path) -> str:
    """Puts its packages and migrations there; the PYTHONPATH by which they are run."""
    command = ["git", "-C", str(ROOT), "archive", COMMIT, *PACKAGES, "db"]
    packed = subprocess.run(command, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(directory, filter="data")
    return ":".join(str(directory / package) for package in PACKAGES)
