"""Whose directories go on being followed while they can't be seen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import pytest

from runcast_server.owners import Owners
from runcast_tailer.options import TailerOptions
from runcast_tailer.queries import KnownRun
from runcast_tailer.run_directory import RunDirectory, RunName
from runcast_tailer.run_scanner import Watching
from runcast_tailer.schedule import Tails
from runcast_tailer.scheduled_tail import WatchedRun

OURS: Owners = {os.getuid(): frozenset(["alpha"])}
THEIRS: Owners = {os.getuid(): frozenset(["beta"])}


def watching(path: Path, owners: Owners) -> tuple[Watching, WatchedRun]:
    """One directory that is followed, with lines that were read and aren't committed yet."""
    options = TailerOptions(path.parent, (path.parent,), "alpha", owners=owners)
    tails = Tails(options, lambda: 0.0)
    nothing = cast(Any, None)  # neither the server nor what is taken over has a part in this
    made = Watching(options, nothing, nothing, tails)
    known = KnownRun(None, None, None, slug="alpha")
    run = WatchedRun(RunDirectory(path), RunName("alpha", None, path.name), known, "alpha")
    run.directory.refresh(0.0)
    log = path / "logs.txt"
    run.tails["logs.txt"] = tails.follow(
        "logs.txt", run.address(), None, log, path.parent, None, run
    )
    assert tails.sweep(0.0)
    made._watched[path] = run
    return made, run


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "runs" / "one"
    path.mkdir(parents=True)
    (path / "logs.txt").write_text("a\nb\n")
    return path


def remove(directory: Path) -> None:
    directory.rename(directory.parent.parent / "moved")


def hide(directory: Path) -> None:
    """No look at it says anything: ELOOP stands for what a network file system answers as well."""
    directory.parent.rename(directory.parent.parent / "hidden")
    directory.parent.symlink_to(directory.parent)


@pytest.mark.parametrize("gone", [remove, hide])
def test_lines_of_a_directory_that_cannot_be_seen_are_still_sent(
    directory: Path, gone: Any
) -> None:
    made, run = watching(directory, OURS)
    gone(directory)
    made._refresh([run], 1.0)
    assert list(made._watched) == [directory]
    assert len(list(run.tails["logs.txt"].tail.unsent())) == 1


def test_a_directory_of_another_owner_is_let_go(directory: Path) -> None:
    made, run = watching(directory, THEIRS)
    made._refresh([run], 1.0)
    assert not made._watched
    assert not run.tails


def test_a_removed_directory_is_let_go_once_its_lines_are_committed(directory: Path) -> None:
    made, run = watching(directory, OURS)
    remove(directory)
    run.tails["logs.txt"].tail.window.clear()
    made._refresh([run], 1.0)
    assert not made._watched
