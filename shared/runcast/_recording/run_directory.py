"""Where the files of runs lie, and the two indexes over them.

`<runs_dir>/index.json` lists the runs, `<run>/artifacts/index.json` a run's artifacts. Both are
replaced whole, under a lock beside them; one that can't be believed is named in
a warning and left as it is.
"""

import codecs
import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from runcast import contract
from runcast._recording import files, formats, locks, runs_index
from runcast._support import encoding
from runcast.errors import InvalidFile

INDEX_LOCK_SECONDS = 2.0
FIRST_LINE_BYTES = 4 * 1024 * 1024
_SPOOL_ID = re.compile(r"[!-~]{1,64}")
RUNS_INDEX_FIELDS = (
    "id",
    "key",
    "project",
    "name",
    "phase",
    "current_step",
    "status",
    "attempt",
    "error",
    "created_at",
    "updated_at",
)


def runs_dir(given: str | os.PathLike[str] | None = None) -> Path:
    """The folder of runs: what is given, else `RUNCAST_RUNS_DIR`, else `runs`; absolute, unless the working
    directory was deleted (then nothing can be written there)."""
    path = Path(given or os.environ.get("RUNCAST_RUNS_DIR") or "runs")
    try:
        return path.absolute()
    except FileNotFoundError:
        return path


class RunDirectory:
    """The paths of one run. Making one touches nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run = path / contract.RUN_FILE
        self.status = path / contract.STATUS_FILE
        self.events = path / contract.PROGRESS_FILE
        self.logs = path / contract.LOG_FILE
        self.json_logs = path / contract.JSON_LOG_FILE
        self.spool = path / contract.SPOOL_FILE
        self.writer = path / ".writer.json"
        self.output = path / "output.zip"
        self.artifacts = path / "artifacts"
        self.artifacts_index = self.artifacts / "index.json"

    def read_run(self) -> dict[str, Any]:
        """run.json. Raises `InvalidFile` or `FileNotFoundError`."""
        return formats.read(self.run, "run.json")

    def read_status(self) -> dict[str, Any]:
        """status.json. Raises `InvalidFile` or `FileNotFoundError`."""
        return formats.read(self.status, "status.json")

    def spool_id(self) -> str | None:
        """What tells the spool from another one of the same run: the id of its first message. None where
        there is none (yet)."""
        try:
            with self.spool.open("rb") as file:
                first = orjson.loads(file.readline(FIRST_LINE_BYTES).removeprefix(codecs.BOM_UTF8))
        except (OSError, ValueError):
            return None
        found = first.get("id") if isinstance(first, dict) else None
        return found if isinstance(found, str) and _SPOOL_ID.fullmatch(found) else None

    def read_artifacts(self) -> list[dict[str, Any]]:
        """The artifacts' entries, oldest first. Raises `InvalidFile`."""
        try:
            index = formats.read(self.artifacts_index, "artifacts/index.json")
        except FileNotFoundError:
            return []
        entries: list[dict[str, Any]] = index["artifacts"]
        return entries


def make_root(root: Path) -> None:
    """Makes a directory of runs, if there is none. Runs don't belong into the repository of the program that
    makes them, so git ignores a new one. Raises `OSError`."""
    if not root.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        (root / ".gitignore").write_text("*\n")


def directories(root: Path) -> Iterator[RunDirectory]:
    """The runs below `root`, or `root` itself if it is one; in order of name."""
    if is_run(root):
        yield RunDirectory(root)
        return
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if is_run(path):
            yield RunDirectory(path)


def is_run(path: Path) -> bool:
    names = (
        contract.RUN_FILE,
        contract.SPOOL_FILE,
        contract.STATUS_FILE,
        contract.LOG_FILE,
    )
    # What may not be looked at is none; `Path.is_file` raises there.
    return os.path.isdir(path) and any(os.path.isfile(path / name) for name in names)


def index_run(root: Path, run: dict[str, Any]) -> None:
    """Puts the run's entry into `root/index.json`, in its place. Raises `OSError` where it can't be
    written, and `InvalidFile` where it can't be believed and is left as it is."""
    entry = {name: run.get(name) for name in RUNS_INDEX_FIELDS}
    path = root / "index.json"
    with _index_locked(root):
        try:
            content = runs_index.with_entry(path.read_bytes(), entry)
        except FileNotFoundError:
            content = None
        if content is not None:
            files.swap(path, content)
            return

    def changed(index: dict[str, Any]) -> dict[str, Any]:
        others = [each for each in index.get("runs", []) if each["id"] != entry["id"]]
        return _ordered([entry, *others])

    _change_index(root / "index.json", "runs/index.json", changed)


def unindex_run(root: Path, run_id: str) -> None:
    """Takes a run's entry out of `root/index.json`. Raises as `index_run` does."""

    def changed(index: dict[str, Any]) -> dict[str, Any]:
        return _ordered([each for each in index.get("runs", []) if each["id"] != run_id])

    _change_index(root / "index.json", "runs/index.json", changed)


def find_by_id(root: Path, run_id: str) -> "RunDirectory | None":
    """The directory of the run with this id, which its key may name."""
    if (root / run_id).is_dir():
        return RunDirectory(root / run_id)
    try:
        entries = formats.read(root / "index.json", "runs/index.json")["runs"]
    except (OSError, InvalidFile):
        return None
    keys = [each.get("key") for each in entries if each["id"] == run_id]
    for key in keys:
        if isinstance(key, str) and contract.is_key(key):
            directory = RunDirectory(root / key)
            with contextlib.suppress(OSError, InvalidFile):
                if directory.read_run()["id"] == run_id:
                    return directory
    return None


@contextlib.contextmanager
def opening(root: Path) -> Iterator[None]:
    """Processes that open a run of the same name do so one after the other."""
    with _index_locked(root):
        yield


def _ordered(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Newest first; runs of the same second by their ids, the later one first."""
    ordered = sorted(entries, key=lambda each: (each["created_at"], each["id"]), reverse=True)
    return {"total": len(ordered), "runs": ordered}


def index_artifact(directory: RunDirectory, entry: dict[str, Any]) -> None:
    """Adds an artifact's entry to the run's manifest."""

    def changed(index: dict[str, Any]) -> dict[str, Any]:
        entries = [*index.get("artifacts", []), entry]
        return {"total": len(entries), "artifacts": entries}

    _change_index(directory.artifacts_index, "artifacts/index.json", changed)


def _change_index(
    path: Path, kind: str, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    with _index_locked(path.parent):
        try:
            content = formats.read(path, kind)
        except FileNotFoundError:
            content = {}
        files.replace(path, encoding.encode(formats.check(kind, change(content))))


@contextlib.contextmanager
def _index_locked(folder: Path) -> Iterator[None]:
    """A file of its own: the folder's lock tells tailers apart, the index itself is replaced."""
    fd = os.open(folder / ".index.lock", os.O_RDWR | os.O_CREAT | files.FLAGS, 0o644)
    try:
        with locks.locked(fd, INDEX_LOCK_SECONDS):
            yield
    finally:
        os.close(fd)
