"""Which directories are found, and that a look that fails forgets none."""

import os
from pathlib import Path

import pytest

from runcast_tailer.discovery import Discovery, Listing


def names(discovery: Discovery, now: float) -> list[str]:
    return sorted(path.name for path in discovery.new(now))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "runs"
    root.mkdir()
    return root


def test_directories_are_found_once_as_they_come(root: Path) -> None:
    discovery = Discovery(root, (root,))
    (root / "one").mkdir()
    (root / "index.json").write_text("{}")
    (root / ".hidden").mkdir()
    assert names(discovery, 0.0) == ["one"]
    (root / "two").mkdir()
    assert names(discovery, 1.0) == ["two"]
    assert names(discovery, 2.0) == []


def test_a_directory_that_went_and_came_back_is_found_again(root: Path) -> None:
    discovery = Discovery(root, (root,))
    (root / "one").mkdir()
    names(discovery, 0.0)
    (root / "one").rmdir()
    assert names(discovery, 1.0) == []
    (root / "one").mkdir()
    assert names(discovery, 2.0) == ["one"]


def test_a_symlinked_run_directory_is_followed_beneath_the_roots(
    root: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    (other / "real").mkdir(parents=True)
    (root / "linked").symlink_to(other / "real")
    assert names(Discovery(root, (root, other)), 0.0) == ["linked"]


def test_a_symlink_that_leads_outside_is_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (root / "linked").symlink_to(tmp_path / "secret")
    assert names(Discovery(root, (root,)), 0.0) == []


def test_a_second_name_of_a_run_is_not_followed(root: Path) -> None:
    (root / "one").mkdir()
    (root / "latest").symlink_to("one")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("nowhere")
    assert names(Discovery(root, (root,)), 0.0) == ["one"]


@pytest.mark.parametrize("number", [24, 13, 116])
def test_a_scan_error_never_means_deleted(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Out of descriptors, forbidden, stale: what was known stays known and isn't found anew."""
    discovery = Discovery(root, (root,))
    (root / "one").mkdir()
    names(discovery, 0.0)
    listdir = os.listdir

    def fail(path: Path) -> list[str]:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "listdir", fail)
    assert names(discovery, 60.0) == []
    assert discovery.listing.names == {"one"}
    assert not discovery.listing.is_missing
    monkeypatch.setattr(os, "listdir", listdir)
    assert names(discovery, 120.0) == []


def test_a_listing_is_made_anew_only_when_the_directory_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a").write_text("")
    os.utime(root, (1_000, 1_000))
    listing = Listing(root)
    assert listing.refresh(0.0)
    calls: list[Path] = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: calls.append(path) or listdir(path))
    assert not listing.refresh(1.0)
    assert calls == []
    (root / "b").write_text("")
    assert listing.refresh(2.0)
    assert listing.names == {"a", "b"}
    os.utime(root, (1_000, 1_000))
    listing.refresh(40.0)
    assert len(calls) == 2
