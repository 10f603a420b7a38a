"""Directories of runs, sent and removed one by one: what is wrong with one costs that one."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runcast import RunTracker
from runcast._recording import run_directory
from runcast._recording.run_directory import RunDirectory
from runcast._support import times
from runcast._upload.prune import prune
from runcast._upload.sync import sync


def test_a_directory_that_is_gone_or_odd_costs_itself(tmp_path: Path) -> None:
    class Odd:
        def send(self, *_: Any) -> Any:
            raise RecursionError("too deep")

    with RunTracker("r", runs_dir=tmp_path, offline=True):
        pass
    client: Any = Odd()
    assert "gone" in str(sync(client, RunDirectory(tmp_path / "gone")).error)
    assert "too deep" in str(sync(client, RunDirectory(tmp_path / "r")).error)


def test_a_directory_that_can_not_be_removed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunTracker("r", runs_dir=tmp_path, offline=True):
        pass

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    pruned = prune(None, RunDirectory(tmp_path / "r"), times.now() + timedelta(1))
    assert pruned.kept is not None
    assert "Permission denied" in pruned.kept
    assert pruned.size > 0


def test_a_directory_that_may_not_be_looked_at_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("a", "b"):
        with RunTracker(key, runs_dir=tmp_path, offline=True):
            pass
    stat = Path.stat

    def refused(path: Path, **how: Any) -> Any:
        if "a" in path.parts[-2:]:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **how)

    monkeypatch.setattr(Path, "stat", refused)
    assert RunDirectory(tmp_path / "b").path in [
        each.path for each in run_directory.directories(tmp_path)
    ]
