"""Files that are opened beneath a directory, and nothing else, whatever is put into the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runcast_server import beneath
from runcast_server.beneath import NotRegular, Place


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for run in ("mine", "victim"):
        (tmp_path / "runs" / run / "sub").mkdir(parents=True)
        (tmp_path / "runs" / run / "logs.txt").write_text(run)
        (tmp_path / "runs" / run / "sub" / "deep.txt").write_text(f"deep {run}")
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path / "runs"


def content(root: Path, path: Path) -> str:
    with os.fdopen(beneath.open_file(root, path)) as file:
        return file.read()


def test_a_regular_file_is_opened_through_directories(runs: Path) -> None:
    assert content(runs, runs / "mine" / "sub" / "deep.txt") == "deep mine"


@pytest.mark.parametrize(
    ("link", "to", "path"),
    [
        ("mine/logs.txt", "../victim/logs.txt", "mine/logs.txt"),
        ("mine/sub", "../victim/sub", "mine/sub/deep.txt"),
        ("mine", "victim", "mine/logs.txt"),
        ("mine/sub", "../..", "mine/sub/secret.txt"),
    ],
)
def test_a_link_put_anywhere_into_the_way_leads_nowhere(
    runs: Path, link: str, to: str, path: str
) -> None:
    (runs / link).rename(runs.parent / "away")
    (runs / link).symlink_to(to)
    with pytest.raises(NotRegular):
        beneath.open_file(runs, runs / path)


@pytest.mark.parametrize("path", ["../secret.txt", "mine/../victim/logs.txt", "", "/etc/passwd"])
def test_a_path_that_leads_up_or_elsewhere_is_refused(runs: Path, path: str) -> None:
    with pytest.raises(NotRegular):
        beneath.open_file(runs, runs / path)


def test_only_regular_files_are_opened(runs: Path) -> None:
    os.mkfifo(runs / "mine" / "pipe")
    for name in ("pipe", "sub"):
        with pytest.raises(NotRegular):
            beneath.open_file(runs, runs / "mine" / name)
    with pytest.raises(FileNotFoundError):
        beneath.open_file(runs, runs / "mine" / "nothing")


def test_no_descriptor_is_left_open(runs: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for path in ("mine/sub/deep.txt/x", "mine/none/x", "mine/sub"):
        with pytest.raises((NotRegular, FileNotFoundError)):
            beneath.open_file(runs, runs / path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_run_directory_may_be_a_link_to_where_may_be_read_but_to_no_other_run(
    runs: Path, tmp_path: Path
) -> None:
    (tmp_path / "other" / "run").mkdir(parents=True)
    for name, target in (
        ("allowed", tmp_path / "other" / "run"),
        ("second-name", runs / "victim"),
        ("inside", runs / "victim" / "sub"),
        ("outside", tmp_path),
    ):
        (runs / name).symlink_to(target)
    roots = (runs, tmp_path / "other")

    def found(name: str) -> Place | None:
        return beneath.run_directory(runs, name, roots)

    other = tmp_path / "other" / "run"
    assert found("allowed") == Place(other, other)
    assert found("mine") == Place(runs, runs / "mine")
    assert [found(name) for name in ("second-name", "inside", "outside")] == [None] * 3
    assert beneath.followed_file(runs / "allowed" / "x", runs, roots) == Place(other, other / "x")
    assert beneath.followed_file(runs / "inside" / "x", runs, roots) is None
    assert beneath.followed_file(Path("/etc/passwd"), runs, roots) is None
